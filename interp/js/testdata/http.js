// An HTTP/1.1 server by hand: keep-alive, pipelining, a body with Content-Length.
const net = require('net');

const pages = {
  'GET /': () => [200, 'text/plain', 'hello from weir\n'],
  'GET /time': () => [200, 'application/json', JSON.stringify({ now: typeof Date.now() }) + '\n'],
  'POST /sum': (body) => [200, 'text/plain', String(body.split(',').map(Number).reduce((a, b) => a + b, 0)) + '\n'],
};

function answer(socket, head, body) {
  const [request, ...lines] = head.split('\r\n');
  const [method, path, version] = request.split(' ');
  const page = pages[method + ' ' + path];
  const [status, type, text] = page ? page(body) : [404, 'text/plain', 'no such page\n'];
  const close = version === 'HTTP/1.0' || lines.some((l) => /^connection:\s*close/i.test(l));
  socket.write(`HTTP/1.1 ${status} ${status === 200 ? 'OK' : 'Not Found'}\r\nContent-Type: ${type}\r\n` +
    `Content-Length: ${Buffer.byteLength(text)}\r\n${close ? 'Connection: close\r\n' : ''}\r\n${text}`);
  if (close) socket.end();
}

const server = net.createServer((socket) => {
  let input = '';
  socket.setEncoding('utf8');
  socket.setTimeout(10000, () => socket.destroy());
  socket.on('error', () => {});
  socket.on('data', (text) => {
    input += text;
    for (;;) {
      const end = input.indexOf('\r\n\r\n');
      if (end < 0) return;
      const length = Number((/^content-length:\s*(\d+)/im.exec(input.slice(0, end)) || [0, 0])[1]);
      if (input.length < end + 4 + length) return;
      answer(socket, input.slice(0, end), input.slice(end + 4, end + 4 + length));
      input = input.slice(end + 4 + length);
    }
  });
});
server.listen({ port: Number(process.argv[2] || 0), host: '127.0.0.1' }, () => console.log('listening', server.address().port));
