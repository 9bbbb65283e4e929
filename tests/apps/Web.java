// SPDX-License-Identifier: MIT

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.InputStream;
import java.net.ConnectException;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.net.StandardSocketOptions;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.net.http.HttpTimeoutException;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.stream.IntStream;

/**
 * An HTTP server and its client on Java's own classes: channels with epoll, and blocking sockets.
 *
 *   Web server PORT          until SIGTERM
 *   Web client HOST PORT     does the work below and prints a line for each part
 */
public class Web {
    static byte[] pattern(int n) {
        byte[] data = new byte[n];
        for (int i = 0; i < n; i++)
            data[i] = (byte) (i + (i >> 8));
        return data;
    }

    static String sha256(byte[] data) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(data));
        } catch (java.security.NoSuchAlgorithmException e) {
            throw new AssertionError(e);
        }
    }

    static void answer(HttpExchange exchange) throws IOException {
        String[] path = exchange.getRequestURI().getPath().split("/");
        byte[] body = exchange.getRequestBody().readAllBytes();
        byte[] data = switch (path[1]) {
            case "bytes" -> pattern(Integer.parseInt(path[2]));
            case "sha256" -> sha256(body).getBytes();
            case "port" -> String.valueOf(exchange.getRemoteAddress().getPort()).getBytes();
            default -> null;
        };
        if (data == null)
            return; // never answered
        exchange.sendResponseHeaders(200, data.length == 0 ? -1 : data.length);
        exchange.getResponseBody().write(data);
        exchange.close();
    }

    static void serve(int port) throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress(port), 200);
        ExecutorService workers = Executors.newFixedThreadPool(8);
        server.createContext("/", Web::answer);
        server.setExecutor(workers);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            server.stop(0);
            System.out.println("stopped");
        }));
        server.start();
    }

    static byte[] get(HttpClient client, String url) throws Exception {
        return client.send(HttpRequest.newBuilder(URI.create(url)).build(), BodyHandlers.ofByteArray())
            .body();
    }

    /** Blocking sockets: a time-out while reading, a half-close, an accept that times out. */
    static void blocking(String host, int port) throws Exception {
        try (Socket socket = new Socket(host, port)) {
            socket.setSoTimeout(50);
            socket.setTcpNoDelay(true);
            socket.setKeepAlive(true);
            try {
                socket.getInputStream().read();
            } catch (SocketTimeoutException e) {
                System.out.println("read timed out");
            }
            socket.setSoTimeout(0);
            socket.getOutputStream()
                .write("GET /bytes/1000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".getBytes());
            socket.shutdownOutput();
            byte[] got = socket.getInputStream().readAllBytes();
            System.out.println("half-close "
                + Arrays.equals(Arrays.copyOfRange(got, got.length - 1000, got.length), pattern(1000)));
        }
        try (ServerSocket listener = new ServerSocket(0)) {
            listener.setSoTimeout(50);
            listener.accept();
        } catch (SocketTimeoutException e) {
            System.out.println("accept timed out");
        }
        try {
            new Socket(host, 1).close();
        } catch (ConnectException e) {
            System.out.println("refused " + e.getMessage());
        }
        // close() by another thread wakes a blocked read
        Socket socket = new Socket(host, port);
        Thread closer = new Thread(() -> {
            try {
                Thread.sleep(50);
                socket.close();
            } catch (Exception e) {
                throw new AssertionError(e);
            }
        });
        closer.start();
        try {
            socket.getInputStream().read();
        } catch (IOException e) {
            System.out.println("woken: " + e.getMessage());
        }
        closer.join();
    }

    /** A channel with gathering writes and scattering reads. */
    static void channel(String host, int port) throws Exception {
        try (SocketChannel channel = SocketChannel.open(new InetSocketAddress(host, port))) {
            channel.setOption(StandardSocketOptions.SO_RCVBUF, 1 << 16);
            byte[] body = pattern(2_000_000);
            ByteBuffer[] parts = {
                ByteBuffer.wrap(("POST /sha256 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                    + "Content-Length: " + body.length + "\r\n\r\n").getBytes()),
                ByteBuffer.wrap(body)};
            while (parts[1].hasRemaining())
                channel.write(parts);
            InputStream in = channel.socket().getInputStream();
            System.out.println("gathered " + new String(in.readAllBytes()).endsWith(sha256(body)));
        }
    }

    static void work(String host, int port) throws Exception {
        String base = "http://" + (host.contains(":") ? "[" + host + "]" : host) + ":" + port;
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        for (int n : new int[] {0, 1, 100_000, 3_000_000})
            if (!Arrays.equals(get(client, base + "/bytes/" + n), pattern(n)))
                System.out.println("bytes differ " + n);
        byte[] body = pattern(3_000_000);
        HttpRequest post = HttpRequest.newBuilder(URI.create(base + "/sha256"))
            .POST(BodyPublishers.ofByteArray(body)).build();
        System.out.println("upload "
            + client.send(post, BodyHandlers.ofString()).body().equals(sha256(body)));
        Set<String> ports = new HashSet<>();
        for (int i = 0; i < 20; i++)
            ports.add(new String(get(client, base + "/port")));
        System.out.println("kept alive " + ports.size());
        var all = IntStream.range(0, 100).mapToObj(i ->
            client.sendAsync(HttpRequest.newBuilder(URI.create(base + "/bytes/" + i * 100)).build(),
                BodyHandlers.ofByteArray()).thenApply(r -> Arrays.equals(r.body(), pattern(i * 100))))
            .toList();
        System.out.println("concurrent " + all.stream().filter(CompletableFuture::join).count());
        HttpRequest never = HttpRequest.newBuilder(URI.create(base + "/never"))
            .timeout(Duration.ofMillis(100)).build();
        try {
            client.send(never, BodyHandlers.ofString());
        } catch (HttpTimeoutException e) {
            System.out.println("request timed out");
        }
        channel(host, port);
        blocking(host, port);
        System.exit(0);
    }

    public static void main(String[] args) throws Exception {
        if (args[0].equals("server"))
            serve(Integer.parseInt(args[1]));
        else
            work(args[1], Integer.parseInt(args[2]));
    }
}
