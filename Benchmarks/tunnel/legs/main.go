// Holds one leg open for each of many tunnels, each with a connector key of its own, as that many connectors would. Reads lines of
// "TUNNEL TOKEN" until an empty one, dials all, and prints the seconds until the edge has taken them all; dials all again for each further line.
package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

var (
	address = flag.String("addr", "", "of the edge")
	name    = flag.String("edge-name", "", "of the edge")
	ca      = flag.String("edge-ca", "", "authority of the edge, PEM")
	atOnce  = flag.Int("at-once", 32, "legs that are dialled at once")
)

type tunnel struct {
	id, token   string
	certificate tls.Certificate
	conn        net.Conn
}

func main() {
	flag.Parse()
	text, err := os.ReadFile(*ca)
	check(err)
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(text)
	input := bufio.NewScanner(os.Stdin)
	var tunnels []*tunnel
	for input.Scan() && input.Text() != "" {
		fields := strings.Fields(input.Text())
		if len(fields) != 2 {
			check(errors.New("a line is a tunnel and its token"))
		}
		certificate, err := newKey()
		check(err)
		tunnels = append(tunnels, &tunnel{id: fields[0], token: fields[1], certificate: certificate})
	}
	fmt.Println("ready")
	for input.Scan() {
		for _, t := range tunnels {
			if t.conn != nil {
				t.conn.Close()
			}
		}
		start := time.Now()
		places := make(chan bool, *atOnce)
		failed := make(chan error, len(tunnels))
		for _, t := range tunnels {
			places <- true
			go func(t *tunnel) {
				failed <- t.dial(trusted)
				<-places
			}(t)
		}
		for range tunnels {
			check(<-failed)
		}
		fmt.Printf("stand %.3f\n", time.Since(start).Seconds())
	}
}

func newKey() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "connector"}, NotBefore: now.Add(-time.Hour),
		NotAfter: now.Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// Dials until the edge has taken the leg: TLS, the request, the answer, and the first exchange of HTTP/2.
func (t *tunnel) dial(trusted *x509.CertPool) error {
	conn, err := tls.Dial("tcp", *address, &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: trusted, ServerName: *name, Certificates: []tls.Certificate{t.certificate}, NextProtos: []string{"http/1.1"}})
	if err != nil {
		return err
	}
	request := fmt.Sprintf(
		"POST /v1/tunnel/connect HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: postern-leg/1\r\nContent-Length: 0\r\nPostern-Tunnel: %s\r\n"+
			"Postern-Leg: bench/0\r\nUser-Agent: postern-connector/bench\r\n", *name, t.id)
	if t.token != "" {
		request += "Authorization: Bearer " + t.token + "\r\n"
	}
	if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
		return err
	}
	reader := bufio.NewReaderSize(conn, 4096)
	answer, err := http.ReadResponse(reader, nil)
	if err != nil {
		return err
	}
	if answer.StatusCode != 101 {
		body, _ := io.ReadAll(answer.Body)
		return fmt.Errorf("%s: %d %s", t.id, answer.StatusCode, body)
	}
	preface := make([]byte, 24)
	if _, err := io.ReadFull(reader, preface); err != nil {
		return err
	}
	// Enrolled from here on.
	t.token, t.conn = "", conn
	if err := frame(conn, 4, 0, nil); err != nil {
		return err
	}
	settled := make(chan error, 1)
	go serve(conn, reader, settled)
	return <-settled
}

// The server's side of an HTTP/2 connection on which no stream is opened: acknowledges settings and answers pings (RFC 9113, section 6).
func serve(conn net.Conn, reader *bufio.Reader, settled chan error) {
	const settings, ping, acknowledges = 4, 6, 1
	head := make([]byte, 9)
	for {
		if _, err := io.ReadFull(reader, head); err != nil {
			settled <- err
			return
		}
		payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		if _, err := io.ReadFull(reader, payload); err != nil {
			return
		}
		switch {
		case head[3] == settings && head[4] == 0:
			frame(conn, settings, acknowledges, nil)
			select {
			case settled <- nil:
			default:
			}
		case head[3] == ping && head[4] == 0:
			frame(conn, ping, acknowledges, payload)
		}
	}
}

func frame(conn net.Conn, kind, flags byte, payload []byte) error {
	bytes := make([]byte, 9, 9+len(payload))
	binary.BigEndian.PutUint32(bytes, uint32(len(payload))<<8|uint32(kind))
	bytes[4] = flags
	_, err := conn.Write(append(bytes, payload...))
	return err
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "legs:", err)
		os.Exit(1)
	}
}
