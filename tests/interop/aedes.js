// aedes over TCP, WebSocket and TLS.
const fs = require('fs')
const http = require('http')
const net = require('net')
const tls = require('tls')
const { Aedes } = require('aedes')
const { WebSocketServer, createWebSocketStream } = require('ws')

async function main () {
  const aedes = await Aedes.createBroker()
  net.createServer(aedes.handle).listen(process.env.PORT, '127.0.0.1')
  const keys = { cert: fs.readFileSync('server.pem'), key: fs.readFileSync('server.key') }
  tls.createServer(keys, aedes.handle).listen(process.env.TLS_PORT, '127.0.0.1')
  const server = http.createServer()
  new WebSocketServer({ server }).on('connection', (socket, request) => {
    aedes.handle(createWebSocketStream(socket), request)
  })
  server.listen(process.env.WS_PORT, '127.0.0.1')
}

main()
