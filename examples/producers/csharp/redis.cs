#:package StackExchange.Redis@2.13.17
#:property PublishAot=false
// Sends one job to callworker over Redis. Needs the SDK of .NET 10, which fetches the package.
//
//     export REDIS_URL=redis://localhost:6379/0
//     dotnet run redis.cs -- id=order-4712 account=acme country=1 phone=2125550123 code=4711

using System.Text.Json;
using StackExchange.Redis;

var job = args.Select(field => field.Split('=', 2)).ToDictionary(pair => pair[0], pair => pair[1]);

var url = new Uri(Environment.GetEnvironmentVariable("REDIS_URL")!);
var login = Array.ConvertAll(url.UserInfo.Split(':', 2), part => Uri.UnescapeDataString(part));
var options = new ConfigurationOptions
{
    EndPoints = { { url.Host, url.Port > 0 ? url.Port : 6379 } },
    Ssl = url.Scheme == "rediss",
    User = login[0] == "" ? null : login[0],
    Password = login.ElementAtOrDefault(1),
    DefaultDatabase = int.TryParse(url.AbsolutePath.Trim('/'), out var number) ? number : 0,
};

await using var redis = await ConnectionMultiplexer.ConnectAsync(options);
await redis.GetDatabase().StreamAddAsync("calls.intake", "job", JsonSerializer.Serialize(job));
