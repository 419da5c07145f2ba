#:package RabbitMQ.Client@7.2.2
#:property PublishAot=false
// Sends one job to callworker over RabbitMQ. Needs the SDK of .NET 10, which fetches the package.
//
//     export AMQP_URL=amqp://guest:guest@localhost/%2F
//     dotnet run rabbitmq.cs -- id=order-4712 account=acme country=1 phone=2125550123 code=4711

using System.Text.Json;
using RabbitMQ.Client;

var job = args.Select(field => field.Split('=', 2)).ToDictionary(pair => pair[0], pair => pair[1]);

var factory = new ConnectionFactory { Uri = new Uri(Environment.GetEnvironmentVariable("AMQP_URL")!) };
await using var connection = await factory.CreateConnectionAsync();
// With both on, publishing waits for the confirm, and throws if the job is refused or returned.
var options = new CreateChannelOptions(
    publisherConfirmationsEnabled: true, publisherConfirmationTrackingEnabled: true);
await using var channel = await connection.CreateChannelAsync(options);

var properties = new BasicProperties { ContentType = "application/json", Persistent = true };
var json = JsonSerializer.SerializeToUtf8Bytes(job);
await channel.BasicPublishAsync("", "calls.intake", mandatory: true, basicProperties: properties, body: json);
