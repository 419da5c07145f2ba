<?php
// Sends one job to callworker over RabbitMQ. Needs the extension amqp.
//
//     export AMQP_URL=amqp://guest:guest@localhost/%2F
//     php rabbitmq.php id=order-4712 account=acme country=1 phone=2125550123 code=4711

$job = [];
foreach (array_slice($argv, 1) as $field) {
    [$name, $value] = explode('=', $field, 2);
    $job[$name] = $value;
}

$url = array_map('rawurldecode', parse_url(getenv('AMQP_URL')));
$connection = new AMQPConnection([
    'host' => $url['host'],
    'port' => (int) ($url['port'] ?? 5672),
    'login' => $url['user'] ?? 'guest',
    'password' => $url['pass'] ?? 'guest',
    'vhost' => substr($url['path'] ?? '//', 1),
]);
$connection->connect();
$channel = new AMQPChannel($connection);
$exchange = new AMQPExchange($channel);

$taken = false;
$channel->confirmSelect();
$channel->setConfirmCallback(function () use (&$taken) { $taken = true; return false; }, fn () => false);
$channel->setReturnCallback(fn () => false);

$json = json_encode($job, JSON_THROW_ON_ERROR);
$attributes = ['content_type' => 'application/json', 'delivery_mode' => 2];
$exchange->publish($json, 'calls.intake', AMQP_MANDATORY, $attributes);
$channel->waitForConfirm(30);
if (!$taken) {
    throw new RuntimeException('RabbitMQ did not take the job');
}
