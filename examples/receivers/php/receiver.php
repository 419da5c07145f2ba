<?php
// A complete receiver of callworker's webhooks. It needs PHP 8.1 and no extension or package.
//
//     export WEBHOOK_SECRET=whsec_…
//     php -S 127.0.0.1:8808 receiver.php     # or any web server: verifies, stores and answers
//     php receiver.php                       # from cron or a loop: works on the events that were stored
//
// Each event is stored once as a file in the folder `events`, or EVENTS_FOLDER. While a secret is rotated,
// WEBHOOK_SECRET may hold both, separated by a space.

declare(strict_types=1);

const MAX_BODY_BYTES = 64 * 1024;
const TOLERANCE_SECONDS = 300;
define('FOLDER', getenv('EVENTS_FOLDER') ?: __DIR__ . '/events');

/** Does what your program does with an event. After a crash this may be called again for the same event. */
function work(array $event): void
{
    echo json_encode($event, JSON_PRETTY_PRINT | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE), "\n";
}

/** Whether one of the secrets signed this body, id and time, no more than five minutes from now. */
function is_genuine(string $id, string $sent, string $signatures, string $body): bool
{
    if (!preg_match('/^[\w.-]{1,100}$/D', $id) || !preg_match('/^\d{1,12}$/D', $sent)) {
        return false;
    }
    if (abs(time() - (int) $sent) > TOLERANCE_SECONDS) {
        return false;
    }
    foreach (explode(' ', (string) getenv('WEBHOOK_SECRET')) as $secret) {
        $key = base64_decode(preg_replace('/^whsec_/', '', $secret));
        $expected = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$sent.$body", $key, true));
        foreach (explode(' ', $signatures) as $given) {
            if ($key !== '' && hash_equals($expected, $given)) {
                return true;
            }
        }
    }
    return false;
}

/** Stores an event on disk. Returns false if it is there already: `link` refuses a name that exists. */
function store(string $id, string $body): bool
{
    $file = FOLDER . "/$id.json";
    $draft = tempnam(FOLDER, 'draft');
    $handle = fopen($draft, 'w');
    $written = fwrite($handle, $body) === strlen($body) && fsync($handle);
    fclose($handle);
    $stored = $written && @link($draft, $file);
    unlink($draft);
    if (!$stored && !file_exists($file)) {
        throw new RuntimeException("$file cannot be written");
    }
    return $stored;
}

/** Tells of numbers that are missing. Deliveries overtake each other, so a number may still come. */
function note_sequence(string $text): void
{
    if (!preg_match('/^\d{1,15}$/D', $text)) {
        return;
    }
    $file = fopen(FOLDER . '/highest-sequence', 'c+');
    flock($file, LOCK_EX);
    $highest = (int) stream_get_contents($file);
    $sequence = (int) $text;
    if ($highest > 0 && $sequence > $highest + 1) {
        error_log(sprintf('missing so far: %d to %d', $highest + 1, $sequence - 1));
    }
    if ($sequence > $highest) {
        rewind($file);
        fwrite($file, (string) $sequence);
    }
    fclose($file);
}

/** The status to answer with: 204 to a genuine event, repeats included. */
function receive(): int
{
    if ($_SERVER['REQUEST_METHOD'] !== 'POST') {
        return 405;
    }
    $body = file_get_contents('php://input', length: MAX_BODY_BYTES + 1);
    if (strlen($body) > MAX_BODY_BYTES) {
        return 413;
    }
    $header = fn (string $name): string => $_SERVER["HTTP_$name"] ?? '';
    $id = $header('WEBHOOK_ID');
    if (!is_genuine($id, $header('WEBHOOK_TIMESTAMP'), $header('WEBHOOK_SIGNATURE'), $body)) {
        error_log('refused: the signature is wrong, old or missing');
        return 401;
    }
    if (store($id, $body)) {
        note_sequence($header('CALLWORKER_SEQUENCE'));
    }
    return 204;
}

/** Works on the events that are not done. Only one process does so at a time. */
function work_off(): void
{
    $lock = fopen(FOLDER . '/lock', 'c');
    flock($lock, LOCK_EX);
    foreach (glob(FOLDER . '/*.json') as $file) {
        $done = substr($file, 0, -strlen('json')) . 'done';
        if (!file_exists($done)) {
            work(json_decode(file_get_contents($file), true, flags: JSON_THROW_ON_ERROR));
            touch($done);
        }
    }
}

is_dir(FOLDER) || mkdir(FOLDER, 0700, true);
if (PHP_SAPI === 'cli') {
    work_off();
} else {
    http_response_code(500); // for what ends this program before the next line
    http_response_code(receive());
}
