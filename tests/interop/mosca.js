// mosca over TCP, WebSocket and TLS.
const mosca = require('mosca')

new mosca.Server({ // eslint-disable-line no-new
  host: '127.0.0.1',
  interfaces: [
    { type: 'mqtt', port: Number(process.env.PORT), host: '127.0.0.1' },
    { type: 'http', port: Number(process.env.WS_PORT), host: '127.0.0.1', bundle: false },
    {
      type: 'mqtts',
      port: Number(process.env.TLS_PORT),
      host: '127.0.0.1',
      credentials: { certPath: 'server.pem', keyPath: 'server.key' }
    }
  ],
  persistence: { factory: mosca.persistence.Memory }
})
