import java.net.InetSocketAddress;
import java.net.ProxySelector;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.Base64;

/** Asks for $URL with the token of $TOKEN. Java reads no variables, so the proxy is set by hand from them. */
public class Get {
    public static void main(String[] arguments) throws Exception {
        URI proxy = URI.create(System.getenv("https_proxy"));
        HttpClient client = HttpClient.newBuilder()
            .proxy(ProxySelector.of(new InetSocketAddress(proxy.getHost(), proxy.getPort()))).build();
        // Not by an Authenticator: with one, Java drops a program's own Authorization header.
        String user = Base64.getEncoder().encodeToString(proxy.getUserInfo().getBytes());
        HttpRequest request = HttpRequest.newBuilder(URI.create(System.getenv("URL")))
            .header("Proxy-Authorization", "Basic " + user)
            .header("Authorization", "Bearer " + System.getenv("TOKEN")).build();
        System.out.println(client.send(request, HttpResponse.BodyHandlers.ofString()).body());
    }
}
