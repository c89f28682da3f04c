// Seals a bid as `pricing/sealed_bids.py` does, byte for byte: that module says why each step is as it is. Nothing here
// fetches or sends anything; the caller brings 32 fresh bytes of chance. Points and the cipher come from the noble libraries.

import { canonical } from "./canonical.js";
import { hex, join, sha256, unhex } from "./proof.js";
import { chacha20poly1305 } from "./vendor/noble-ciphers/chacha.js";
import { Point, etc } from "./vendor/noble-ed25519.js";

export const ALGORITHM = "ed25519-feldman-x25519-chacha20poly1305@1";

const { p: P, n: ORDER } = Point.CURVE();
const NONCE = new Uint8Array(12); // every key here is made for one message
const encoder = new TextEncoder();

const little = (bytes) => bytes.reduceRight((number, byte) => (number << 8n) | BigInt(byte), 0n);

function bytes32(number) {
  const bytes = new Uint8Array(32);
  for (let at = 0; at < 32; at += 1) bytes[at] = Number((number >> BigInt(8 * at)) & 255n);
  return bytes;
}

const said = (purpose, binding, parts) => join(encoder.encode(`${purpose}\n`), binding, ...parts);
const hash = (purpose, binding, ...parts) => sha256(said(purpose, binding, parts));

// A scalar without bias: 64 bytes of SHA-512 reduced by the order.
async function scalar(purpose, binding, ...parts) {
  const wide = await crypto.subtle.digest("SHA-512", said(purpose, binding, parts));
  return little(new Uint8Array(wide)) % ORDER;
}

const timesBase = (number) => Point.BASE.multiply(number, number !== 0n).toBytes();

// The Montgomery u coordinate of a point (RFC 7748 §4.1), which X25519 works with.
function montgomery(point) {
  const { y } = point.toAffine();
  return bytes32(etc.mod((1n + y) * etc.invert(etc.mod(1n - y, P), P), P));
}

// RFC 7748 §5. On points of prime order X25519 multiplies by this number, so it may be reduced.
function clamped(bytes) {
  const number = Uint8Array.from(bytes);
  number[0] &= 248;
  number[31] = (number[31] & 127) | 64;
  return little(number) % ORDER;
}

// A holder's key; RangeError where it is no point of prime order, under which a share would not be secret.
function holderKey({ name, public: key }) {
  const point = Point.fromBytes(unhex(key));
  if (point.is0() || !point.isTorsionFree()) throw new RangeError(`the key of ${name} is no point of prime order`);
  return point;
}

export const committeeDigest = async (committee) => hex(await sha256(encoder.encode(canonical(committee))));

// What is sealed is a whole number of fen for one grant; `bid` has lot, code and bid_id, `committee` is as the tender names it.
export async function seal(priceFen, bid, committee, chance) {
  if (committee.algorithm !== ALGORITHM || chance.length !== 32) throw new RangeError("another scheme than this one");
  if (priceFen < 1n || priceFen >= 1n << 63n) throw new RangeError("no price");
  const { lot, code, bid_id } = bid;
  const keys = committee.holders.map(holderKey);
  const lines = canonical([ALGORITHM, lot, code, bid_id]);
  const binding = await sha256(join(encoder.encode(lines), unhex(await committeeDigest(committee))));
  const secret = await scalar("secret", binding, chance);
  const kept = bytes32(secret);

  // f(0) … f(n) of the polynomial whose secret is f(0), and what commits to each.
  const coefficients = [secret];
  for (let power = 1; power < Number(committee.threshold); power += 1)
    coefficients.push(await scalar("coefficient", binding, kept, Uint8Array.of(power)));
  const values = [0, ...keys.map((_, at) => at + 1)].map((at) =>
    coefficients.reduceRight((value, number) => (value * BigInt(at) + number) % ORDER, 0n),
  );
  const commitments = values.map(timesBase);

  const mine = clamped(await hash("ephemeral key", binding, kept));
  const ephemeral = montgomery(Point.BASE.multiply(mine));
  const shares = [];
  for (const [at, key] of keys.entries()) {
    const shared = montgomery(key.multiply(mine));
    const shareKey = await hash("share key", join(binding, ...commitments), Uint8Array.of(at + 1), ephemeral, shared);
    shares.push(chacha20poly1305(shareKey, NONCE).encrypt(bytes32(values[at + 1])));
  }
  const plain = new DataView(new ArrayBuffer(16)); // price and quantity: 16 bytes whatever they say
  plain.setBigUint64(0, priceFen);
  plain.setBigUint64(8, 1n);
  const payloadKey = await hash("payload key", binding, kept);
  const payload = chacha20poly1305(payloadKey, NONCE, binding).encrypt(new Uint8Array(plain.buffer));

  // A Schnorr proof of knowing the secret, over all of the above.
  const all = [...commitments, ephemeral, ...shares, payload];
  const nonce = await scalar("proof nonce", binding, kept, ...all);
  const point = timesBase(nonce);
  const challenge = await scalar("proof", binding, ...all, point);
  const proof = join(point, bytes32((nonce + challenge * secret) % ORDER));
  return {
    algorithm: ALGORITHM,
    bid_id,
    code,
    commitments: commitments.map(hex),
    ephemeral: hex(ephemeral),
    lot,
    payload: hex(payload),
    proof: hex(proof),
    shares: shares.map(hex),
  };
}
