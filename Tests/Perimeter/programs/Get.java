import java.net.Authenticator;
import java.net.InetSocketAddress;
import java.net.PasswordAuthentication;
import java.net.ProxySelector;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

/** Asks for $URL with the token of $TOKEN. Java reads no variables, so the proxy is set by hand from them. */
public class Get {
    public static void main(String[] arguments) throws Exception {
        URI proxy = URI.create(System.getenv("https_proxy"));
        String[] user = proxy.getUserInfo().split(":", 2);
        HttpClient client = HttpClient.newBuilder()
            .proxy(ProxySelector.of(new InetSocketAddress(proxy.getHost(), proxy.getPort())))
            .authenticator(new Authenticator() {
                @Override protected PasswordAuthentication getPasswordAuthentication() {
                    return new PasswordAuthentication(user[0], user[1].toCharArray());
                }
            })
            .build();
        HttpRequest request = HttpRequest.newBuilder(URI.create(System.getenv("URL")))
            .header("Authorization", "Bearer " + System.getenv("TOKEN")).build();
        System.out.println(client.send(request, HttpResponse.BodyHandlers.ofString()).body());
    }
}
