// Sends one job to callworker over Redis. Needs Jedis, 7.2 or newer, and what that needs in lib/.
//
//     export REDIS_URL=redis://localhost:6379/0
//     java -cp 'lib/*' Redis.java id=order-4712 account=acme country=1 phone=2125550123 code=4711

import com.google.gson.Gson;
import java.util.Arrays;
import java.util.Map;
import java.util.stream.Collectors;
import redis.clients.jedis.RedisClient;
import redis.clients.jedis.StreamEntryID;

public class Redis {
    public static void main(String[] arguments) {
        Map<String, String> job = Arrays.stream(arguments)
                .map(field -> field.split("=", 2))
                .collect(Collectors.toMap(pair -> pair[0], pair -> pair[1]));

        try (var redis = RedisClient.create(System.getenv("REDIS_URL"))) {
            redis.xadd("calls.intake", StreamEntryID.NEW_ENTRY, Map.of("job", new Gson().toJson(job)));
        }
    }
}
