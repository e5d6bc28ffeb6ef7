// Compiles the contracts with the npm compiler and writes the lean artefacts that Rust binds to.
//   node build.mjs           write ../crates/chain/abi/*.json
//   node build.mjs --check   recompile and compare byte for byte
import {createHash} from 'node:crypto';
import {existsSync, mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const target = join(here, '..', 'crates', 'chain', 'abi');
const solc = createRequire(import.meta.url)('solc');
const contracts = ['Federations', 'Rounds', 'Payouts', 'TestToken'];
const CODE_LIMIT = 24576; // EIP-170

const settings = {
  evmVersion: 'prague',
  optimizer: {enabled: true, runs: 200},
  viaIR: false,
  metadata: {bytecodeHash: 'none', appendCBOR: false},
};

const sourceFile = (name) => join(here, name.startsWith('src/') ? name : join('node_modules', name));
const readSource = (name) =>
  existsSync(sourceFile(name)) ? {contents: readFileSync(sourceFile(name), 'utf8')} : {error: `${name}: not found`};

function compile() {
  const sources = Object.fromEntries(contracts.map((name) => [`src/${name}.sol`, {content: readSource(`src/${name}.sol`).contents}]));
  const outputSelection = {'*': {'*': ['abi', 'evm.bytecode.object', 'evm.deployedBytecode.object', 'metadata']}};
  const input = {language: 'Solidity', sources, settings: {...settings, outputSelection}};
  const output = JSON.parse(solc.compile(JSON.stringify(input), {import: readSource}));
  // 2394 warns of transient storage in general; ours is OpenZeppelin's reentrancy guard, the use it calls safe.
  const messages = (output.errors ?? []).filter(({errorCode}) => errorCode !== '2394');
  for (const message of messages) console.error(message.formattedMessage);
  if (messages.length > 0) process.exit(1);
  return output;
}

function artefact(output, name) {
  const built = output.contracts[`src/${name}.sol`][name];
  const size = built.evm.deployedBytecode.object.length / 2;
  console.log(`${name}: ${size} bytes of code, ${CODE_LIMIT - size} left`);
  const used = Object.keys(JSON.parse(built.metadata).sources).sort();
  const hash = (source) => createHash('sha256').update(readSource(source).contents).digest('hex');
  const content = {
    contractName: name,
    abi: built.abi,
    bytecode: '0x' + built.evm.bytecode.object,
    deployedBytecode: '0x' + built.evm.deployedBytecode.object,
    compiler: solc.version().replace('.Emscripten.clang', ''),
    settings,
    sourceHashes: Object.fromEntries(used.map((source) => [source, hash(source)])),
  };
  if (size > CODE_LIMIT) throw new Error(`${name} is larger than a chain accepts`);
  return JSON.stringify(content, null, 1) + '\n';
}

const check = process.argv.includes('--check');
const output = compile();
const stale = [];
mkdirSync(target, {recursive: true});
for (const name of contracts) {
  const file = join(target, `${name}.json`);
  const content = artefact(output, name);
  if (!check) writeFileSync(file, content);
  else if (!existsSync(file) || readFileSync(file, 'utf8') !== content) stale.push(`${name}.json`);
}
if (stale.length > 0) {
  console.error(`out of date: ${stale.join(', ')}; run: node build.mjs`);
  process.exit(1);
}
