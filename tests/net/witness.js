// SPDX-License-Identifier: GPL-2.0-or-later
// An HTTP and an HTTPS server of Node that write down, one line each, every Host they are asked for
// and every name in a hello. To each piece of a body that comes they answer at once.
//   node witness.js ADDRESS HTTP_PORT TLS_PORT CERTIFICATE KEY

const fs = require('fs');
const http = require('http');
const https = require('https');
const tls = require('tls');

const [address, httpPort, tlsPort, cert, key] = process.argv.slice(2);
const identity = { cert: fs.readFileSync(cert), key: fs.readFileSync(key) };
const context = tls.createSecureContext(identity);

function see(name) {
	fs.writeSync(1, (name || '-') + '\n');
}

function answer(request, response) {
	see(request.headers.host);
	request.on('data', () => response.write('.'));
	request.on('end', () => response.end('seen\n'));
	request.on('error', () => {});
}

function onName(name, callback) {
	see(name);
	callback(null, context);
}

function onUpgrade(request, socket) {
	see(request.headers.host);
	socket.on('error', () => {});
	socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n');
}

const servers = [
	[http.createServer(answer), httpPort],
	[https.createServer({ ...identity, SNICallback: onName }, answer), tlsPort],
];
for (const [server, port] of servers) {
	server.on('clientError', (error, socket) => socket.destroy());
	server.listen({ port, host: address, backlog: 1024 });
}
servers[0][0].on('upgrade', onUpgrade);
