import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** The handler of the Java column: what each operation of the behaviours does. */
public class Handler implements RequestHandler<Object, Object> {
    private static final String INSTANCE = UUID.randomUUID().toString();
    private static int calls;
    private static volatile long gap;

    static {
        System.out.println("initialising");
        String init = String.valueOf(System.getenv("INIT"));
        if (init.equals("fail")) {
            throw new Odd("at init");
        }
        if (init.equals("exit")) {
            Runtime.getRuntime().halt(9);
        }
    }

    /** A failure whose type the error document names. */
    public static class Odd extends RuntimeException {
        public Odd(String message) {
            super(message);
        }
    }

    /** A result that no serialiser can take apart. */
    public static class Unserialisable {
        public String getValue() {
            throw new IllegalStateException("cannot be serialised");
        }
    }

    @Override
    public Object handleRequest(Object event, Context context) {
        if (!(event instanceof Map<?, ?> asked) || !asked.containsKey("op")) {
            return event;
        }
        try {
            return operate((String) asked.get("op"), asked.get("value"), context);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        } catch (InterruptedException error) {
            throw new IllegalStateException(error);
        }
    }

    private static int number(Object value) {
        return ((Number) value).intValue();
    }

    private static Object operate(String operation, Object value, Context context)
            throws IOException, InterruptedException {
        switch (operation) {
            case "context":
                return contextOf(context);
            case "environment":
                return System.getenv();
            case "fail":
                throw new Odd((String) value);
            case "panic":
                throw new StackOverflowError((String) value);
            case "exit":
                Runtime.getRuntime().halt(number(value));
                return null;
            case "signal":
                String kill = "kill -" + number(value) + " " + ProcessHandle.current().pid();
                new ProcessBuilder("/bin/sh", "-c", kill).start();
                Thread.sleep(5000);
                return null;
            case "sleep":
                Thread.sleep(number(value));
                return "slept";
            case "letters":
                return "x".repeat(number(value));
            case "length":
                return ((String) value).length();
            case "unserialisable":
                return new Unserialisable();
            case "print":
                for (Object line : (List<?>) value) {
                    List<?> pair = (List<?>) line;
                    (pair.get(0).equals("out") ? System.out : System.err).println(pair.get(1));
                }
                return null;
            case "count":
                Thread.sleep(value == null ? 0 : number(value));
                calls += 1;
                return Map.of("instance", INSTANCE, "calls", calls);
            case "write":
                Map<?, ?> wanted = (Map<?, ?>) value;
                return write(Path.of((String) wanted.get("path")), (String) wanted.get("text"));
            case "read":
                return read(Path.of((String) value));
            case "list":
                try (Stream<Path> entries = Files.list(Path.of((String) value))) {
                    return entries.map(entry -> entry.getFileName().toString()).sorted().collect(Collectors.toList());
                }
            case "stat":
                Path path = Path.of((String) value);
                int mode = (int) Files.getAttribute(path, "unix:mode") & 07777;
                return Map.of("mode", Integer.toOctalString(mode), "owner", Files.getAttribute(path, "unix:uid"));
            case "cwd":
                return System.getProperty("user.dir");
            case "run":
                Process ran = new ProcessBuilder("/bin/sh", "-c", (String) value).start();
                return new String(ran.getInputStream().readAllBytes());
            case "ticks":
                if (Boolean.TRUE.equals(value)) {
                    Thread ticker = new Thread(Handler::tick);
                    ticker.setDaemon(true);
                    ticker.start();
                }
                Thread.sleep(100);
                return gap;
            case "allocate":
                return allocate(number(value));
            default:
                throw new Odd("no operation " + operation);
        }
    }

    private static Object contextOf(Context context) {
        Map<String, Object> found = new LinkedHashMap<>();
        found.put("requestId", context.getAwsRequestId());
        found.put("functionName", context.getFunctionName());
        found.put("functionVersion", context.getFunctionVersion());
        found.put("memoryMb", context.getMemoryLimitInMB());
        found.put("arn", context.getInvokedFunctionArn());
        found.put("logGroup", context.getLogGroupName());
        found.put("logStream", context.getLogStreamName());
        found.put("remainingMs", context.getRemainingTimeInMillis());
        found.put("custom", context.getClientContext() == null ? null : context.getClientContext().getCustom());
        found.put("trace", System.getProperty("com.amazonaws.xray.traceHeader"));
        return found;
    }

    private static String write(Path path, String text) {
        try {
            Files.writeString(path, text);
            return "written";
        } catch (IOException refused) {
            return "refused";
        }
    }

    private static String read(Path path) {
        try {
            return Files.readString(path);
        } catch (IOException absent) {
            return null;
        }
    }

    private static void tick() {
        long last = System.nanoTime();
        while (true) {
            try {
                Thread.sleep(10);
            } catch (InterruptedException ended) {
                return;
            }
            gap = Math.max(gap, (System.nanoTime() - last) / 1_000_000);
            last = System.nanoTime();
        }
    }

    private static String allocate(int megabytes) {
        List<byte[]> kept = new ArrayList<>();
        for (int each = 0; each < megabytes; each++) {
            byte[] part = new byte[1_000_000];
            java.util.Arrays.fill(part, (byte) 1);
            kept.add(part);
        }
        return kept.isEmpty() ? "" : "allocated";
    }
}
