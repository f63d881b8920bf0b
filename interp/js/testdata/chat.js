// A chat: the first line of a client is its name; all others get each line that it sends.
// "/quit" leaves, and "/stop" ends the server.
const net = require('net');
const EventEmitter = require('events');

class Room extends EventEmitter {
  members = new Map();
  say(from, text) {
    for (const [name, socket] of this.members) if (name !== from) socket.write(text + '\n');
  }
  join(name, socket) {
    this.say(name, `* ${name} joins`);
    this.members.set(name, socket);
    this.emit('count', this.members.size);
  }
  leave(name) {
    if (!this.members.delete(name)) return;
    this.say(name, `* ${name} leaves`);
    this.emit('count', this.members.size);
  }
}

const room = new Room();
room.on('count', (n) => console.log('members', n));

const server = net.createServer((socket) => {
  let name = null, input = '';
  socket.setEncoding('utf8');
  socket.write('name?\n');
  socket.on('data', (text) => {
    const lines = (input + text).split('\n');
    input = lines.pop();
    for (const line of lines) {
      if (name === null) {
        if (room.members.has(line)) { socket.end('that name is taken\n'); return; }
        room.join(name = line, socket);
      } else if (line === '/quit') {
        socket.end('bye\n');
      } else if (line === '/stop') {
        server.close(() => console.log('closed'));
        for (const member of room.members.values()) member.end('the server ends\n');
      } else {
        room.say(name, `${name}: ${line}`);
      }
    }
  });
  socket.on('close', () => room.leave(name));
  socket.on('error', () => {});
});
server.listen(Number(process.argv[2] || 0), '127.0.0.1', () => console.log('listening', server.address().port));
