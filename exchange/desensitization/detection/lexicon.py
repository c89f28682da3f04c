"""Words that recognise a column: its header's, in two languages, and the names that people bear."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


SURNAMES = frozenset(
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩邓冯曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢姚"
    "沈钟姜崔谭陆范汪廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫段雷龙黎史陶贺毛郝顾龚邵万覃武钱戴严莫孔向常汤康"
    "易乔赖文樊兰殷施洪翟安倪严牛温芦季俞章鲁葛伍申尤毕聂柴焦左柳祝宁岳骆纪舒欧梅管涂成耿关苗凌费盛童齐裴路"
    "娄车曲霍穆华卫鲍游闵邢卜古包詹邬植丛单靳邸祁辛蓝甘翁应冉解晏阮桂蒲边房闻党滕卓景屈仇畅尚褚项简饶阎虞缪"
    "鞠敖衣隋瞿宗臧谷商丘傅佟佘奚时丰冷麦全巩查柯桑池郁刁强幸代官"
)
"""The most frequent surnames of mainland China, about 97 % of all bearers; facts of the population register."""

COMPOUND_SURNAMES = frozenset(
    {"欧阳", "上官", "司马", "诸葛", "司徒", "东方", "皇甫", "尉迟", "公孙", "慕容", "令狐", "夏侯", "端木"}
)

GIVEN_NAMES = _words(
    """
    james john robert michael william david richard joseph thomas charles christopher daniel matthew anthony
    mark donald steven paul andrew joshua kenneth kevin brian george timothy ronald edward jason jeffrey ryan
    jacob gary nicholas eric jonathan stephen larry justin scott brandon benjamin samuel gregory alexander
    frank patrick raymond jack dennis jerry tyler aaron jose adam nathan henry douglas zachary peter kyle noah
    ethan jeremy walter christian keith roger terry austin sean gerald carl harold dylan arthur lawrence jordan
    jesse bryan billy bruce gabriel joe logan alan juan albert willie elijah wayne randy vincent mason roy
    ralph bobby russell bradley philip eugene louis johnny travis derek corey dustin shawn chad phillip cody
    derrick jared cory edwin antonio luis carlos miguel victor marcus curtis craig todd shane joel troy ricardo
    manuel fernando mario francisco martin leonard stanley fred frederick clarence ernest howard leon glenn
    clayton dale erik ian lee evan isaac lucas luke caleb trevor seth garrett mitchell spencer colin devin
    blake brent brett calvin casey chase clifford darren darryl duane edgar gilbert gordon grant herbert jay
    jeff jim jimmy jon jorge julian karl kurt lance leroy lewis lloyd lonnie marc marvin max melvin micheal
    mike nathaniel neil norman omar oscar pedro preston rafael ramon randall raul ray reginald rick rodney
    roberto ruben sergio steve steven theodore tim tom tommy tony tracy vernon warren wesley xavier
    mary patricia jennifer linda elizabeth barbara susan jessica sarah karen lisa nancy betty sandra margaret
    ashley kimberly emily donna michelle carol amanda melissa deborah stephanie dorothy rebecca sharon laura
    cynthia amy kathleen angela shirley brenda emma anna pamela nicole samantha katherine christine helen debra
    rachel carolyn janet maria catherine heather diane olivia julie joyce victoria ruth virginia lauren kelly
    christina joan evelyn judith andrea hannah megan cheryl jacqueline martha madison teresa gloria sara janice
    ann kathryn abigail sophia frances jean alice judy isabella julia grace amber denise danielle marilyn
    beverly charlotte natalie theresa diana brittany doris kayla alexis lori marie jamie tiffany crystal erin
    tammy tara courtney vanessa kristen kristin april leslie wendy shannon stacey stacy dana monica holly
    kristina kristine katie kathy robin rhonda sheila sherry tina valerie veronica yolanda regina misty melanie
    allison alison alicia adriana alexandra alexandria angelica anne annette autumn bailey becky bethany bonnie
    breanna bridget brooke caitlin candace candice carla carly carmen caroline carrie cassandra cassidy
    cathy chelsea chloe christie cindy claire claudia colleen connie daisy darlene dawn desiree destiny diamond
    donna ebony eileen elaine ellen erica erika faith felicia gabriela gabriella gabrielle gail gina glenda
    gwendolyn haley hailey hayley heidi jacqueline jade jane jasmine jeanette jenna jenny jill jillian joann
    joanna joanne jodi jordan jo josephine joy juanita karina karla katelyn katrina kaitlin kaitlyn kathryn
    kelli kellie kelsey kendra kerri kerry kiara kim krista kristi kristy latasha latoya leah lindsay lindsey
    loretta lorraine lucy lydia lynn mackenzie makayla mallory marcia margaret maria mariah marissa maureen
    meagan mercedes meredith mia mindy miranda molly monique morgan nichole nina norma olivia paige patty paula
    penny phyllis priscilla raven rebekah renee rita roberta robyn rosa rose roxanne sabrina sally selena
    shelby shelia shelley shelly sierra sonia sonya sophia summer suzanne sydney sylvia tabitha tamara tanya
    tasha taylor tonya traci tracey tricia vicki vickie victoria wanda whitney yesenia yvette yvonne zoe alex
    alec alejandro alexis ana angel angelo arturo ben bernard bill bob brad brendan bryce cameron charlie chris
    cole connor corey cristian dakota dan daniel danny darius darrell darren dave dean desmond diego dominic
    don drew eddie eduardo elias enrique ernesto ethan felix francis franklin fred gerardo gavin greg guy
    hector hunter ivan jackson jaime jake javier jeffery jermaine jerome jesus johnathan jonathon joaquin
    julio kent kenny kirk kristopher liam lucas malik marco marcos matt maurice malcolm nicolas noah oliver
    parker perry ricky riley rodolfo roman ross salvador sam sebastian sidney simon stuart tanner terrance
    terrence tristan tyrone wyatt zach
    """
)
"""Frequent given names of English-speaking countries (birth registers); facts."""

FAMILY_NAMES = _words(
    """
    smith johnson williams brown jones garcia miller davis rodriguez martinez hernandez lopez gonzalez wilson
    anderson thomas taylor moore jackson martin lee perez thompson white harris sanchez clark ramirez lewis
    robinson walker young allen king wright scott torres nguyen hill flores green adams nelson baker hall
    rivera campbell mitchell carter roberts gomez phillips evans turner diaz parker cruz edwards collins reyes
    stewart morris morales murphy cook rogers gutierrez ortiz morgan cooper peterson bailey reed kelly howard
    ramos kim cox ward richardson watson brooks chavez wood james bennett gray mendoza ruiz hughes price
    alvarez castillo sanders patel myers long ross foster jimenez powell jenkins perry russell sullivan bell
    coleman butler henderson barnes gonzales fisher vasquez simmons romero jordan patterson alexander hamilton
    graham reynolds griffin wallace moreno west cole hayes bryant herrera gibson ellis tran medina aguilar
    stevens murray ford castro marshall owens harrison fernandez mcdonald woods washington kennedy wells vargas
    henry chen freeman webb tucker guzman burns crawford olson simpson porter hunter gordon mendez silva shaw
    snyder mason dixon munoz hunt hicks holmes palmer wagner black robertson boyd rose stone salazar fox warren
    mills meyer rice schmidt garza daniels ferguson nichols stephens soto weaver ryan gardner payne grant dunn
    """
)
"""The most frequent family names of the United States census; facts."""

HEALTH_WORDS = _words(
    """
    surgery icu emergency general_medicine cardiology oncology pediatrics paediatrics neurology psychiatry
    radiology orthopedics orthopaedics obstetrics gynecology gynaecology dermatology urology nephrology
    ophthalmology gastroenterology hematology haematology endocrinology rheumatology pulmonology maternity
    内科 外科 儿科 妇科 产科 妇产科 急诊 急诊科 骨科 眼科 肿瘤科 精神科 皮肤科 神经内科 神经外科 心内科 重症医学科 口腔科 耳鼻喉科 康复科 中医科
    """
)
"""Names of clinical departments: who was treated where is health information (GB/T 35273-2020, annex B)."""

ETHNIC_WORDS = _words(
    """
    汉 蒙古 回 藏 维吾尔 苗 彝 壮 布依 朝鲜 满 侗 瑶 白 土家 哈尼 哈萨克 傣 黎 傈僳 佤 畲 高山 拉祜 水 东乡 纳西 景颇 柯尔克孜 土
    达斡尔 仫佬 羌 布朗 撒拉 毛南 仡佬 锡伯 阿昌 普米 塔吉克 怒 乌孜别克 俄罗斯 鄂温克 德昂 保安 裕固 京 塔塔尔 独龙 鄂伦春 赫哲 门巴
    珞巴 基诺 穿青人 其他 未识别
    """
)
"""GB/T 3304-1991, with and without 族."""
MARITAL_WORDS = _words(
    """
    未婚 已婚 初婚 再婚 复婚 丧偶 离婚 离异 单身 未说明的婚姻状况 single married divorced widowed separated never_married
    never-married married-civ-spouse married-spouse-absent married-af-spouse
    """
)
"""GB/T 2261.2-2003, and what censuses in English write."""
EDUCATION_WORDS = _words(
    """
    文盲 半文盲 小学 初中 高中 中专 中技 技校 职高 中等专业学校 大专 专科 大学专科 本科 大学本科 大学 研究生 硕士 硕士研究生 博士
    博士研究生 学前教育 普通高中 bachelors masters doctorate hs-grad some-college preschool prof-school assoc-acdm assoc-voc
    """
)
"""GB/T 4658-2006, as registers shorten it."""
KINSHIP_WORDS = _words(
    """
    本人 户主 本人或户主 配偶 夫 妻 丈夫 妻子 子 女 儿子 女儿 长子 次子 三子 长女 次女 三女 独生子 独生女 父 母 父亲 母亲 祖父 祖母
    外祖父 外祖母 孙子 孙女 外孙 外孙女 儿媳 女婿 公公 婆婆 岳父 岳母 兄 弟 姐 妹 兄弟姐妹 其他亲属 非亲属 养子 养女 继子 继女
    husband wife spouse son daughter father mother own-child not-in-family other-relative unmarried household_head
    """
)
"""GB/T 4761-2008: how the members of a household belong together."""
BELIEF_WORDS = _words(
    """
    中共党员 中共预备党员 共青团员 群众 民革党员 民盟盟员 民建会员 民进会员 农工党党员 致公党党员 九三学社社员 台盟盟员 无党派人士
    佛教 道教 伊斯兰教 天主教 基督教 无宗教信仰 buddhist christian muslim catholic protestant hindu jewish atheist
    """
)
"""GB/T 4762-1984 and the recognised religions: sensitive personal information (个人信息保护法 art. 28)."""

FLAG_WORDS = frozenset({"yes", "no", "y", "n", "t", "f", "true", "false", "是", "否", "有", "无", "对", "错"})
"""Two of these are an answer, which tells nobody apart."""

SEX_WORDS = (
    "male",
    "female",
    "man",
    "woman",
    "男",
    "女",
    "男性",
    "女性",
    "未知",
    "unknown",
    "other",
    "其他",
    "其它",
    "m",
    "f",
)

HINTS: Mapping[str, re.Pattern[str]] = {
    kind: re.compile(pattern)
    for kind, pattern in {
        "biometric": r"_(finger_?prints?|face|facial|face_(image|photo|feature|template|vector)|iris|retina|voice_?prints?|"
        r"palm_?prints?|gait|dna|genome|genotype|biometrics?)_|指纹|人脸|面部|虹膜|声纹|掌纹|步态|基因|生物识别",
        "resident_id": r"_(id_?card(_no|_number)?|identity_(no|number|card)|resident_id|citizen_id|national_id|sfzh?m?|id_no|"
        r"idno|ssn|certificate_no)_|身份证|身份号码|证件号",
        "bank_card": r"_(bank_?(card|account)(_no|_number)?|card_?(no|number)|pan|iban|debit_card|credit_card)_|银行卡|银行账号|卡号",
        "mobile": r"_(mobile|cell|cell_?phone|phone|tel|telephone|msisdn|handset)(_no|_num|_number)?\d*_|手机|电话|联系方式",
        "email": r"_(e_?mail|mail)(_address)?_|邮箱|电子邮件",
        "passport": r"_passport(_no|_number)?_|护照|通行证",
        "plate": r"_(plate|licen[cs]e_plate|plate_(no|number)|vehicle_no)_|车牌|号牌",
        "ip_address": r"_(ip|ipv4|ipv6|ip_?addr(ess)?|client_ip|remote_addr)_",
        "mac_address": r"_(mac|mac_addr(ess)?)_",
        "person_name": r"_(first|last|full|given|family|middle|maiden|patient|customer|client|person|student|teacher|employee|"
        r"staff|user|contact|owner|driver|passenger|guest|member|applicant|father|mother|spouse|real)_?name_|_surname_|_(fname|lname)_|"
        r"姓名|^姓$|^名$|联系人|户主|法定代表人|负责人姓名",
        "some_name": r"_(name|names)_|名称?$|名字",
        "person_identifier": r"_(patient|user|member|customer|client|person|student|pupil|employee|staff|driver|passenger|subscriber|"
        r"account|insured|citizen|resident|owner|applicant|medical_record|open|union|tax_?payer|voter|visitor|guest)_?"
        r"(id|no|num|number|code|key|uid|uuid)_|_(uid|mrn|openid|unionid|username|user_name|nickname|login|wechat|qq)_|"
        r"(病历|住院|门诊|就诊卡|社保|医保|学籍|学|工|会员|用户|客户|账|驾驶证|档案|患者|人员)(编)?(号|号码|编号|ID|id|标识)$|微信|昵称|用户名",
        "household": r"_(household_(no|id|number|register)|hukou(_no)?)_|户号|户口簿?编?号|户籍(?!地|类型|性质|人口)",
        "home_address": r"_(home|residential|residence|household|mailing|living)_addr(ess)?_|住址|户籍地址?|家庭地址|居住地|通讯地址|收货地址",
        "address": r"_(addr|address|street|street_address)\d?_|地址|门牌",
        "birth_date": r"_(birth|birth_?day|birth_?date|date_of_birth|dob|birth_?year|year_of_birth)_|出生(?!地|医院)|生日",
        "age": r"^_(age|ages|age_?(years?|group|band|range|bracket|at_\w+)|(patient|person|user|customer|student|driver|diagnosis|admission)_?age)_$|年龄|岁",
        "sex": r"_(sex|gender)_|性别",
        "ethnicity": r"_(ethnic|ethnicity|ethnic_group|race|nationality_ethnic)_|民族|族别|种族",
        "marital_status": r"_(marital|marital_?status|marriage|ever_?married|married)_|婚姻|婚否|婚育",
        "family": r"_(family_(size|members?|type)|number_of_children|no_of_children|children|dependents|household_size|next_of_kin)_|"
        r"家庭成员|家庭关系|与户主关系|子女|亲属|监护",
        "education": r"_(education|education_(level|num)|degree_level|schooling|qualification)_|学历|文化程度|受教育",
        "occupation": r"_(occupation|profession|job|job_title|work_?class|employer|work_?type)_|职业|工作单位|职务|就业",
        "postal_code": r"_(post_?codes?|postal_?codes?|zip|zip_?codes?)_|邮编|邮政编码",
        "region": r"_(province|city|county|district|township|town|village|community|country|native_country|state|region|"
        r"nationality|birth_?place|adcode|area_code|region_code|division)_|省|地市|区县|街道|乡镇|社区|行政区|籍贯|国籍|区划",
        "coordinates": r"_(lat|latitude|lon|lng|long|longitude|coords?|coordinates?|geo_?point|location_(x|y))_|经度|纬度|坐标|经纬",
        "date": r"_(date|day|datetime|timestamp|arrival|departure|admission|discharge|admitted|discharged|visit)(_date|_time|_at)?_|"
        r"_\w+_(date|datetime|timestamp|at)_|_(year|yr)_|日期|时间|时刻|年份|年度",
        "belief": r"_(religion|religious|belief|faith|political_(party|status|affiliation)|party_member)_|宗教|信仰|政治面貌|党派",
        "device": r"_(imei|imsi|meid|idfa|oaid|android_id|device_(id|no|number)|vin|chassis_(no|number)|frame_no)_|设备号|设备标识|"
        r"车架号|车辆识别|发动机号",
        "income": r"_(income|salary|salary_class|wage|wages|pay|earnings|deposit|balance|credit_score|loan)_|收入|工资|薪|存款|贷款|信用分|纳税额",
        "health": r"_(diagnosis|disease|illness|condition|icd(10|9|_code)?|symptoms?|treatment|medication|blood_type|medical_history|"
        r"allerg(y|ies)|hiv|pregnan(t|cy))_|诊断|疾病|病种|病史|症状|用药|过敏|血型|科室|病区|传染",
        "row_identifier": r"_(id|no|num|number|code|key|uuid|guid|serial|index)_$|编号|序号|流水号|单号|号码$|标识$|^id$",
    }.items()
}
"""What a header says, per kind; matched on the header as `normalise` writes it. `some_name` alone proves nothing."""


def normalise(header: str) -> str:
    """A header as words between underscores, lower case: `patientID` is `_patient_id_`."""
    text = unicodedata.normalize("NFKC", header)
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", text)
    text = re.sub(r"[\W_]+", "_", text.lower()).strip("_")
    return f"_{text}_"


def hinted(header: str) -> frozenset[str]:
    """The kinds that the header hints at."""
    words, bare = normalise(header), unicodedata.normalize("NFKC", header).strip()
    return frozenset(kind for kind, pattern in HINTS.items() if pattern.search(words) or pattern.search(bare))
