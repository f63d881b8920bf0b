// The part of the modules that is written in JavaScript. It returns the functions that
// the loop's callbacks call.
(function (global, native, argv) {
'use strict';

class EventEmitter {
  #listeners = new Map();
  on(name, listener) {
    if (!this.#listeners.has(name)) this.#listeners.set(name, []);
    this.#listeners.get(name).push(listener);
    return this;
  }
  addListener(name, listener) { return this.on(name, listener); }
  once(name, listener) {
    const one = (...args) => { this.off(name, one); listener.apply(this, args); };
    one.listener = listener;
    return this.on(name, one);
  }
  off(name, listener) {
    this.#listeners.set(name, this.listeners(name).filter((l) => l !== listener && l.listener !== listener));
    return this;
  }
  removeListener(name, listener) { return this.off(name, listener); }
  removeAllListeners(name) { this.#listeners.delete(name); return this; }
  listeners(name) { return (this.#listeners.get(name) || []).slice(); }
  listenerCount(name) { return this.listeners(name).length; }
  emit(name, ...args) {
    const all = this.listeners(name);
    if (name === 'error' && !all.length) throw args[0];
    for (const l of all) l.apply(this, args);
    return all.length > 0;
  }
}

// The encodings of strings other than UTF-8.
const encoders = {
  latin1: (s) => Array.from(s, (c) => c.charCodeAt(0)),
  hex: (s) => Uint8Array.fromHex(s),
  base64: (s) => Uint8Array.fromBase64(s),
};
const decoders = {
  latin1: (bytes) => Array.from(bytes, (b) => String.fromCharCode(b)).join(''),
  hex: (bytes) => bytes.toHex(),
  base64: (bytes) => bytes.toBase64(),
};

// fault makes an Error of what Go has found out about one.
const fault = ([syscall, text, code, errno]) => Object.assign(new Error(`${syscall}: ${text}`), { code, errno, syscall });

class Buffer extends Uint8Array {
  static from(value, encoding) {
    return new Buffer(typeof value === 'string' ? (encoders[encoding] || native.encode)(value) : value);
  }
  static alloc(size) { return new Buffer(size); }
  static byteLength(text) { return Buffer.from(text).length; }
  static isBuffer(value) { return value instanceof Buffer; }
  static concat(list) {
    const all = new Buffer(list.reduce((n, b) => n + b.length, 0));
    list.reduce((at, b) => { all.set(b, at); return at + b.length; }, 0);
    return all;
  }
  toString(encoding, from = 0, to = this.length) {
    return (decoders[encoding] || native.decode)(this.slice(from, to));
  }
  equals(other) { return this.length === other.length && this.every((b, i) => b === other[i]); }
}

const later = (f) => Promise.resolve().then(f);

class Socket extends EventEmitter {
  #handle = null; #waiting = []; #ending = false; #reason = null; #idle = null; #text = false;
  connecting = false; destroyed = false; bytesRead = 0; bytesWritten = 0;
  constructor(options = {}, handle) {
    super();
    this.allowHalfOpen = !!options.allowHalfOpen;
    if (handle) this._open(handle);
  }
  connect(...args) {
    const { network, address, callback } = place(args);
    this.connecting = true;
    if (callback) this.once('connect', callback);
    this.#handle = native.connect(this, network, address);
    return this;
  }
  _open(handle) {
    this.#handle = handle;
    handle.adopt(this);
    this.connecting = false;
    [[this.localAddress, this.localPort], [this.remoteAddress, this.remotePort]] = handle.ends();
    if (this.#text) handle.setText();
    const ending = this.#ending;
    this.#ending = false;
    for (const args of this.#waiting.splice(0)) this.write(...args);
    if (ending) this.end();
  }
  setEncoding() { this.#text = true; if (this.#ready()) this.#handle.setText(); return this; }
  #ready() { return this.#handle && !this.connecting && !this.destroyed; }
  write(data, encoding, callback) {
    if (typeof encoding === 'function') [encoding, callback] = [undefined, encoding];
    if (this.destroyed || this.#ending && !this.connecting) {
      later(() => this.destroy(Object.assign(new Error('write after end'), { code: 'EPIPE' })));
      return false;
    }
    if (typeof data !== 'string' && !(data instanceof Uint8Array)) throw new TypeError('write: want a string or a Buffer');
    if (encoding && typeof data === 'string') data = Buffer.from(data, encoding);
    if (!this.#ready()) { this.#waiting.push([data, undefined, callback]); return false; }
    this.bytesWritten += data.length;
    this._touch();
    const more = this.#handle.write(data, callback || null);
    if (typeof more === 'boolean') return more;
    later(() => this.destroy(fault(more)));
    return false;
  }
  end(data, encoding, callback) {
    if (data !== undefined && data !== null && typeof data !== 'function') this.write(data, encoding, callback);
    if (!this.#ending && this.#ready()) this.#handle.end();
    this.#ending = true;
    return this;
  }
  destroy(error) {
    if (this.destroyed) return this;
    this.destroyed = true;
    this.#reason = error || null;
    if (this.#handle) this.#handle.destroy();
    else later(() => this._closed(null));
    return this;
  }
  pause() { if (this.#ready()) this.#handle.pause(); return this; }
  resume() { if (this.#ready()) this.#handle.resume(); return this; }
  pipe(to) {
    this.on('data', (d) => { if (to.write(d) === false) this.pause(); });
    to.on('drain', () => this.resume());
    this.on('end', () => to.end());
    return to;
  }
  setNoDelay() { return this; } // it is on, and keep-alive, too
  setKeepAlive() { return this; }
  setTimeout(ms, callback) {
    clearTimeout(this.#idle);
    this.timeout = ms;
    if (callback) this.once('timeout', callback);
    this._touch();
    return this;
  }
  address() { return addressOf([this.localAddress, this.localPort]); }
  _touch() {
    if (!this.timeout) return;
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.emit('timeout'), this.timeout);
  }
  _data(data) {
    this.bytesRead += typeof data === 'string' ? Buffer.byteLength(data) : data.byteLength;
    this._touch();
    this.emit('data', typeof data === 'string' ? data : new Buffer(data));
  }
  _end() {
    this.emit('end');
    if (!this.allowHalfOpen && this.#ready()) { this.#ending = true; this.#handle.close(); }
  }
  _closed(error) {
    error = this.#reason || error;
    this.destroyed = true;
    this.connecting = false;
    this.timeout = 0;
    clearTimeout(this.#idle);
    if (error) this.emit('error', error);
    this.emit('close', !!error);
    if (this._server) this._server._gone();
  }
}

class Server extends EventEmitter {
  #handle = null; #address = null; #open = 0; #callback = null;
  listening = false;
  constructor(options, listener) {
    super();
    if (typeof options === 'function') [options, listener] = [{}, options];
    this.options = options || {};
    if (listener) this.on('connection', listener);
  }
  listen(...args) {
    const { network, address, backlog, callback } = place(args, '');
    if (callback) this.once('listening', callback);
    this.#handle = native.listen(this, network, address, backlog || 0);
    return this;
  }
  address() { return this.#address; }
  close(callback) {
    if (callback) this.once('close', callback);
    if (this.#handle) this.#handle();
    return this;
  }
  _listening(address) {
    this.listening = true;
    this.#address = addressOf(address);
    this.emit('listening');
  }
  _accepted(handle) {
    this.#open++;
    const socket = new Socket(this.options, handle);
    socket._server = this;
    this.emit('connection', socket);
  }
  _gone() { if (--this.#open === 0 && !this.#handle) this.emit('close'); }
  _closed(error) {
    this.listening = false;
    this.#handle = null;
    if (error) this.emit('error', error);
    if (this.#open === 0) this.emit('close');
  }
}

// addressOf returns an address as address() does: an object, or the path of a unix socket.
const addressOf = ([address, port]) =>
  port === undefined ? address : { address, port, family: address.includes(':') ? 'IPv6' : 'IPv4' };

// place reads the arguments of listen and connect: (port, host, backlog, callback), (path,
// callback) or ({ port, host, path }, callback).
function place(args, anyHost = 'localhost') {
  const callback = typeof args[args.length - 1] === 'function' ? args.pop() : null;
  let [first, host, backlog] = args;
  if (typeof host === 'number') [host, backlog] = [undefined, host];
  const at = typeof first === 'object' && first ? first : isNaN(first) ? { path: first } : { port: first, host, backlog };
  if (at.path !== undefined) return { network: 'unix', address: String(at.path), backlog: at.backlog, callback };
  const port = Number(at.port ?? 0);
  if (!Number.isInteger(port) || port < 0 || port > 65535) throw new RangeError(`port ${at.port}: want 0 to 65535`);
  host = at.host ?? anyHost;
  return { network: 'tcp', address: (host.includes(':') ? `[${host}]` : host) + ':' + port, backlog: at.backlog, callback };
}

const createServer = (options, listener) => new Server(options, listener);
const connect = (...args) => new Socket(typeof args[0] === 'object' ? args[0] : {}).connect(...args);
const modules = {
  net: { createServer, connect, createConnection: connect, Server, Socket },
  events: Object.assign(EventEmitter, { EventEmitter }),
  buffer: { Buffer },
};

function inspect(value) {
  if (typeof value === 'string') return value;
  if (value instanceof Error) return value.stack.trimEnd();
  if (value instanceof Buffer) return `<Buffer ${value.toString('hex').replace(/(..)(?!$)/g, '$1 ')}>`;
  if (typeof value === 'function') return `[Function: ${value.name || '(anonymous)'}]`;
  try { return typeof value === 'object' ? JSON.stringify(value) : String(value); } catch { return String(value); }
}
const log = (...values) => native.print(values.map(inspect).join(' '));
const error = (...values) => native.printError(values.map(inspect).join(' '));
class Timeout {
  #timer;
  constructor(f, ms, args, repeat) {
    if (typeof f !== 'function') throw new TypeError('a timer needs a function');
    const fire = () => { if (repeat) arm(); f(...args); };
    const arm = () => { this.#timer = native.after(fire, Number(ms) || 0); };
    arm();
  }
  stop() { this.#timer.stop(); }
}
const clear = (timeout) => { if (timeout instanceof Timeout) timeout.stop(); };

Object.assign(global, {
  Buffer, global,
  console: { log, info: log, error, warn: error },
  process: { argv, exit: (code) => native.exit(Number(code) || 0), nextTick: (f, ...args) => later(() => f(...args)) },
  setTimeout: (f, ms, ...args) => new Timeout(f, ms, args, false),
  setInterval: (f, ms, ...args) => new Timeout(f, ms, args, true),
  setImmediate: (f, ...args) => new Timeout(f, 0, args, false),
  clearTimeout: clear, clearInterval: clear, clearImmediate: clear, queueMicrotask: later,
  require(name) {
    const module = modules[name.replace(/^node:/, '')];
    if (!module) throw new Error(`there is no module '${name}'`);
    return module;
  },
});

return {
  accepted: (server, handle) => server._accepted(handle),
  connected: (socket, handle) => { socket._open(handle); socket.emit('connect'); },
  data: (socket, data) => socket._data(data),
  drain: (socket) => socket.emit('drain'),
  end: (socket) => socket._end(),
  listening: (server, address) => server._listening(address),
  closed: (object, error) => object._closed(error && fault(error)),
};
})
