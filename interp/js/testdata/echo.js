#!/usr/bin/env weir-js
// Sends back what it gets, on the port of the first argument.
const net = require('net');

const server = net.createServer((socket) => {
  socket.on('data', (data) => {
    if (!socket.write(data)) socket.pause();
  });
  socket.on('drain', () => socket.resume());
  socket.on('end', () => socket.end());
  socket.on('error', (error) => console.error('client:', error.code));
});
server.listen(Number(process.argv[2] || 0), '127.0.0.1', () => console.log('listening', server.address().port));
