// The page's language for scripts: texts that the server put on <body>, and the reader's own forms of time and number.

const texts = JSON.parse(document.body.dataset.words);
const tag = document.documentElement.lang;

export const lang = tag.slice(0, 2);

export const word = (key, values = {}) =>
  texts[key].replace(/\{(\w+)\}/g, (place, name) => (name in values ? String(values[name]) : place));

export const named = (family, value) => texts[`${family}.${value}`] ?? value;

const whole = new Intl.DateTimeFormat(tag, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });
const short = new Intl.DateTimeFormat(tag, { timeStyle: "medium", hourCycle: "h23" });
const rough = new Intl.DateTimeFormat(tag, { month: "numeric", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const zone = new Intl.DateTimeFormat(tag, { timeZoneName: "shortOffset" });

export const instant = (us, brief = false) => (brief ? short : whole).format(Number(us) / 1000);
export const moment = (us) => rough.format(Number(us) / 1000);
export const zoneName = () => zone.formatToParts(new Date()).find(({ type }) => type === "timeZoneName").value;

// Fen to yuan for reading only: exact below 2^53 fen, the most that a lot can cost.
const yuan = new Intl.NumberFormat(tag, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
export const money = (fen) => yuan.format(Number(fen) / 100);
export const number = (value) => new Intl.NumberFormat(tag).format(value);
