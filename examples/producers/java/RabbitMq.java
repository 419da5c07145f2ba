// Sends one job to callworker over RabbitMQ. Needs amqp-client 5, slf4j-api and Gson in lib/.
//
//     export AMQP_URL=amqp://guest:guest@localhost/%2F
//     java -cp 'lib/*' RabbitMq.java id=order-4712 account=acme country=1 phone=2125550123 code=4711

import com.google.gson.Gson;
import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.ConnectionFactory;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Collectors;

public class RabbitMq {
    public static void main(String[] arguments) throws Exception {
        Map<String, String> job = Arrays.stream(arguments)
                .map(field -> field.split("=", 2))
                .collect(Collectors.toMap(pair -> pair[0], pair -> pair[1]));

        var factory = new ConnectionFactory();
        factory.setUri(System.getenv("AMQP_URL"));
        try (var connection = factory.newConnection(); var channel = connection.createChannel()) {
            var returned = new AtomicBoolean();
            channel.addReturnListener((code, text, exchange, key, properties, body) -> returned.set(true));
            channel.confirmSelect();

            var json = new Gson().toJson(job).getBytes(StandardCharsets.UTF_8);
            var properties = new AMQP.BasicProperties.Builder()
                    .contentType("application/json").deliveryMode(2).build();
            channel.basicPublish("", "calls.intake", true, properties, json);
            channel.waitForConfirmsOrDie(30_000);
            if (returned.get()) {
                throw new IOException("RabbitMQ did not take the job");
            }
        }
    }
}
