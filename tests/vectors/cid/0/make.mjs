// Writes unixfs-v1-2025.json: CIDs made by the JavaScript importer, which shares no code with
// ours. Contents are described by (seed, size), so the file stays small.
//
//   npm install ipfs-unixfs-importer@17.1.1
//   node make.mjs > unixfs-v1-2025.json
//
// Content of (seed, size): SHA-256 of the decimal text "seed:i" for i = 0, 1, …, joined and cut
// to size. Seed "zero" means zero bytes, whose chunks are all equal.
import { createHash } from 'node:crypto'
import { importer } from 'ipfs-unixfs-importer'
import { fixedSize } from 'ipfs-unixfs-importer/chunker'
import { balanced } from 'ipfs-unixfs-importer/layout'

const PROFILE = { chunk: 1 << 20, width: 1024 }

function content (seed, size) {
  const out = Buffer.alloc(size)
  if (seed === 'zero') return out
  for (let at = 0, i = 0; at < size; at += 32, i++) {
    createHash('sha256').update(`${seed}:${i}`).digest().copy(out, at)
  }
  return out
}

async function cid (bytes, { chunk, width }) {
  // The published profile goes in by name alone; smaller layouts override its two numbers.
  const options = { profile: 'unixfs-v1-2025' }
  if (chunk !== PROFILE.chunk || width !== PROFILE.width) {
    options.chunker = fixedSize({ chunkSize: chunk })
    options.layout = balanced({ maxChildrenPerNode: width })
  }
  const blocks = { put: async (cid) => cid }
  for await (const entry of importer([{ content: [bytes] }], blocks, options)) return entry.cid.toString()
}

const cases = []
async function add (layout, seed, size) {
  const bytes = content(seed, size)
  cases.push({
    ...layout,
    seed,
    size,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    cid: await cid(bytes, layout)
  })
}

const MIB = 1 << 20
for (const size of [0, 1, MIB - 1, MIB, MIB + 1, 2 * MIB, 5 * MIB + 12345]) await add(PROFILE, 'a', size)
await add(PROFILE, 'zero', 4 * MIB + 1)

// More than 1024 chunks, and every boundary of a second, third and fourth level.
for (const size of [1024 * 16 - 1, 1024 * 16, 1024 * 16 + 1, 1025 * 16 + 1, 2048 * 16 + 5]) {
  await add({ chunk: 16, width: 1024 }, 'b', size)
}
for (const size of [0, 15, 16, 17, 48, 49, 64, 144, 145, 160, 432, 433, 449, 1296, 1297, 5000]) {
  await add({ chunk: 16, width: 3 }, 'c', size)
}
for (const size of [4096 * 174, 4096 * 174 + 1, 4096 * 400]) {
  await add({ chunk: 4096, width: 174 }, 'd', size)
}
await add({ chunk: 16, width: 3 }, 'zero', 1000)

console.log('[')
console.log(cases.map((c) => '  ' + JSON.stringify(c)).join(',\n'))
console.log(']')
