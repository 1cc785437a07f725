import java.net.InetSocketAddress;
import java.net.ProxySelector;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.Base64;

/** Asks for $URL with the token of $TOKEN. Java reads no variables, so the proxy is set by hand from them, where they are. */
public class Get {
    public static void main(String[] arguments) throws Exception {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(System.getenv("URL")))
            .header("Authorization", "Bearer " + System.getenv("TOKEN"));
        HttpClient.Builder client = HttpClient.newBuilder();
        if (System.getenv("https_proxy") != null) {
            URI proxy = URI.create(System.getenv("https_proxy"));
            client.proxy(ProxySelector.of(new InetSocketAddress(proxy.getHost(), proxy.getPort())));
            // Not by an Authenticator: with one, Java drops a program's own Authorization header.
            String user = Base64.getEncoder().encodeToString(proxy.getUserInfo().getBytes());
            request.header("Proxy-Authorization", "Basic " + user);
        }
        System.out.println(client.build().send(request.build(), HttpResponse.BodyHandlers.ofString()).body());
    }
}
