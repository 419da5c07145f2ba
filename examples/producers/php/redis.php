<?php
// Sends one job to callworker over Redis. Needs the extension redis.
//
//     export REDIS_URL=redis://localhost:6379/0
//     php redis.php id=order-4712 account=acme country=1 phone=2125550123 code=4711

$job = [];
foreach (array_slice($argv, 1) as $field) {
    [$name, $value] = explode('=', $field, 2);
    $job[$name] = $value;
}

$url = array_map('rawurldecode', parse_url(getenv('REDIS_URL')));
$redis = new Redis();
$redis->connect(($url['scheme'] === 'rediss' ? 'tls://' : '') . $url['host'], (int) ($url['port'] ?? 6379));
if (isset($url['pass'])) {
    $login = empty($url['user']) ? $url['pass'] : [$url['user'], $url['pass']];
    $redis->auth($login) or throw new RuntimeException($redis->getLastError());
}
$redis->select((int) substr($url['path'] ?? '/0', 1)) or throw new RuntimeException($redis->getLastError());

$json = json_encode($job, JSON_THROW_ON_ERROR);
$redis->xAdd('calls.intake', '*', ['job' => $json]) or throw new RuntimeException($redis->getLastError());
