// Uploads a file, or what comes on standard input, with tus-js-client, and reports on standard output as JSON.
//
//     node upload.mjs <node_modules> <settings as JSON>
//
// Settings: `file` (absent: standard input), `urlStorage` (file in which URLs are kept between processes),
// `abortOnInput` (abort and terminate the upload when something comes on standard input), `options` (handed to
// tus-js-client).
// Nothing is retried unless `options.retryDelays` says so: a failure has to be seen, not smoothed over.

import { createReadStream } from 'node:fs'
import { createRequire } from 'node:module'

const [modules, settings] = [process.argv[2], JSON.parse(process.argv[3])]
const tus = createRequire(`${modules}/../package.json`)('tus-js-client')

const requests = []
const source = settings.file === undefined ? process.stdin : createReadStream(settings.file)
const storage = settings.urlStorage ? { urlStorage: new tus.FileUrlStorage(settings.urlStorage) } : {}

const report = await new Promise((resolve, reject) => {
  const upload = new tus.Upload(source, {
    retryDelays: null,
    ...storage,
    ...settings.options,
    onAfterResponse(request, response) {
      requests.push({
        method: request.getMethod(),
        offset: request.getHeader('Upload-Offset') ?? null,
        status: response.getStatus(),
      })
    },
    onSuccess: () => resolve({ url: upload.url }),
    onError: reject,
  })
  if (settings.abortOnInput) {
    process.stdin.once('data', () => upload.abort(true).then(() => resolve({ url: upload.url }), reject))
  }
  const begin = async () => {
    if (settings.urlStorage) {
      const previous = await upload.findPreviousUploads()
      if (previous.length > 0) upload.resumeFromPreviousUpload(previous[0])
    }
    upload.start()
  }
  begin().catch(reject)
}).catch((error) => {
  console.error(error.message)
  process.exit(1)
})

console.log(JSON.stringify({ ...report, requests }))
