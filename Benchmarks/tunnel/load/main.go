// Load for the tunnel's measures: HTTP/1.1 over TLS 1.3 with a client certificate, straight to an address or through an edge by CONNECT.
// Every answer is checked for its status and length. Prints one JSON object.
package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bytes that a call sends and gets.
const callBytes = 1024

var (
	mode        = flag.String("mode", "kept", "kept, fresh: calls on kept connections, or on a new one each; bulk; beside: calls beside a bulk transfer; hold")
	connections = flag.Int("c", 1, "connections at once")
	seconds     = flag.Float64("t", 1, "for how long")
	count       = flag.Int("n", 1, "downloads, in mode bulk")
	address     = flag.String("addr", "", "where to connect to")
	host        = flag.String("host", "", "name for TLS and Host")
	certificate = flag.String("cert", "", "client certificate, PEM")
	key         = flag.String("key", "", "its key, PEM")
	authority   = flag.String("ca", "", "authority of the server, PEM")
	edgeName    = flag.String("edge-name", "", "go by CONNECT through the edge of this name at -addr")
	edgeCA      = flag.String("edge-ca", "", "authority of the edge, PEM")
	apiKey      = flag.String("api-key-file", "", "file with the API key for CONNECT")
)

type client struct {
	inner, outer *tls.Config
	connect      string
}

type connection struct {
	tls    *tls.Conn
	reader *bufio.Reader
}

func (c *client) dial() (*connection, error) {
	raw, err := net.DialTimeout("tcp", *address, 10*time.Second)
	if err != nil {
		return nil, err
	}
	raw.SetDeadline(time.Now().Add(60 * time.Second))
	under := raw
	if c.outer != nil {
		outer := tls.Client(raw, c.outer)
		if _, err := io.WriteString(outer, c.connect); err != nil {
			return nil, err
		}
		if err := established(outer); err != nil {
			return nil, err
		}
		under = outer
	}
	conn := tls.Client(under, c.inner)
	if err := conn.Handshake(); err != nil {
		raw.Close()
		return nil, err
	}
	return &connection{conn, bufio.NewReaderSize(conn, 64<<10)}, nil
}

// Reads the answer to CONNECT byte by byte: what comes behind it is the inner TLS.
func established(conn net.Conn) error {
	var head []byte
	one := make([]byte, 1)
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		if _, err := io.ReadFull(conn, one); err != nil {
			return err
		}
		head = append(head, one[0])
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) {
		return errors.New("CONNECT: " + string(head))
	}
	return nil
}

func (c *connection) call(request []byte, want int64) error {
	if _, err := c.tls.Write(request); err != nil {
		return err
	}
	status, length := 0, int64(-1)
	for {
		line, err := c.reader.ReadSlice('\n')
		if err != nil {
			return err
		}
		text := strings.TrimRight(string(line), "\r\n")
		if text == "" {
			break
		}
		if status == 0 {
			parts := strings.SplitN(text, " ", 3)
			if len(parts) < 2 {
				return errors.New("no status line: " + text)
			}
			status, _ = strconv.Atoi(parts[1])
		} else if len(text) > 15 && strings.EqualFold(text[:15], "content-length:") {
			length, _ = strconv.ParseInt(strings.TrimSpace(text[15:]), 10, 64)
		}
	}
	if status != 200 || length != want {
		return fmt.Errorf("status %d, length %d", status, length)
	}
	for length > 0 {
		// What the buffer takes at once is given back at once: no copy of a body.
		if c.reader.Buffered() == 0 {
			if _, err := c.reader.Peek(1); err != nil {
				return err
			}
		}
		part := c.reader.Buffered()
		if int64(part) > length {
			part = int(length)
		}
		if _, err := c.reader.Discard(part); err != nil {
			return err
		}
		length -= int64(part)
	}
	return nil
}

type result struct {
	Calls    int       `json:"calls"`
	Failures int       `json:"failures"`
	Error    string    `json:"error,omitempty"`
	Seconds  float64   `json:"seconds"`
	P50      float64   `json:"p50_us"`
	P90      float64   `json:"p90_us"`
	P99      float64   `json:"p99_us"`
	Bulk     []float64 `json:"mib_per_second,omitempty"`
	Cipher   string    `json:"cipher"`
}

func main() {
	flag.Parse()
	c, err := newClient()
	if err != nil {
		fatal(err)
	}
	small := request("POST", "/call", callBytes)
	large := request("GET", "/large", 0)
	var r result
	switch *mode {
	case "kept":
		r = many(c, func(conn *connection) (*connection, error) { return conn, conn.call(small, callBytes) })
	case "fresh":
		r = many(c, func(conn *connection) (*connection, error) {
			conn.tls.Close()
			fresh, err := c.dial()
			if err != nil {
				return nil, err
			}
			return fresh, fresh.call(small, callBytes)
		})
	case "bulk":
		r = bulk(c, large, *count)
	case "beside":
		r = beside(c, small, large)
	case "hold":
		hold(c, small)
		return
	}
	json.NewEncoder(os.Stdout).Encode(r)
}

func newClient() (*client, error) {
	pair, err := tls.LoadX509KeyPair(*certificate, *key)
	if err != nil {
		return nil, err
	}
	trusted, err := pool(*authority)
	if err != nil {
		return nil, err
	}
	c := &client{inner: &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: trusted, Certificates: []tls.Certificate{pair}, ServerName: *host, NextProtos: []string{"http/1.1"}}}
	if *edgeName != "" {
		trusted, err := pool(*edgeCA)
		if err != nil {
			return nil, err
		}
		secret, err := os.ReadFile(*apiKey)
		if err != nil {
			return nil, err
		}
		c.outer = &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: trusted, ServerName: *edgeName, NextProtos: []string{"http/1.1"}}
		c.connect = fmt.Sprintf(
			"CONNECT %s:443 HTTP/1.1\r\nHost: %s:443\r\nProxy-Authorization: Bearer %s\r\n\r\n", *host, *host, strings.TrimSpace(string(secret)))
	}
	return c, nil
}

func pool(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New(path + " holds no certificate")
	}
	return pool, nil
}

func request(method, path string, body int) []byte {
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nAccept: application/json, text/event-stream\r\n", method, path, *host)
	if body > 0 {
		head += fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n", body)
	}
	return append([]byte(head+"\r\n"), bytes.Repeat([]byte("x"), body)...)
}

// Opens the connections, makes a call on each that does not count, and then calls on all of them until the time is over.
func many(c *client, call func(*connection) (*connection, error)) result {
	opened, err := open(c, *connections)
	if err != nil {
		fatal(err)
	}
	for i := range opened {
		if opened[i], err = call(opened[i]); err != nil {
			fatal(err)
		}
	}
	took := make([][]float64, len(opened))
	failures := make([]error, len(opened))
	var group sync.WaitGroup
	start := time.Now()
	end := start.Add(time.Duration(*seconds * float64(time.Second)))
	for i := range opened {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			conn := opened[i]
			before := time.Now()
			for before.Before(end) {
				if conn, failures[i] = call(conn); failures[i] != nil {
					return
				}
				after := time.Now()
				took[i] = append(took[i], float64(after.Sub(before))/1e3)
				before = after
			}
			conn.tls.Close()
		}(i)
	}
	group.Wait()
	r := summary(took, time.Since(start))
	for _, err := range failures {
		if err != nil {
			r.Failures++
			r.Error = err.Error()
		}
	}
	r.Cipher = tls.CipherSuiteName(opened[0].tls.ConnectionState().CipherSuite)
	return r
}

func open(c *client, count int) ([]*connection, error) {
	opened := make([]*connection, count)
	for i := range opened {
		var err error
		if opened[i], err = c.dial(); err != nil {
			return nil, err
		}
	}
	return opened, nil
}

const largeBytes = 64 << 20

func bulk(c *client, request []byte, count int) result {
	opened, err := open(c, 1)
	if err != nil {
		fatal(err)
	}
	var r result
	start := time.Now()
	for i := 0; i < count; i++ {
		before := time.Now()
		if err := opened[0].call(request, largeBytes); err != nil {
			fatal(err)
		}
		r.Bulk = append(r.Bulk, float64(largeBytes>>20)/time.Since(before).Seconds())
		r.Calls++
	}
	r.Seconds = time.Since(start).Seconds()
	r.Cipher = tls.CipherSuiteName(opened[0].tls.ConnectionState().CipherSuite)
	return r
}

// Calls on one connection while another one downloads without a pause.
func beside(c *client, small, large []byte) result {
	opened, err := open(c, 2)
	if err != nil {
		fatal(err)
	}
	for _, conn := range opened {
		if err := conn.call(small, callBytes); err != nil {
			fatal(err)
		}
	}
	var took []float64
	var rates []float64
	start := time.Now()
	end := start.Add(time.Duration(*seconds * float64(time.Second)))
	done := make(chan error)
	go func() {
		for {
			before := time.Now()
			if before.After(end) {
				done <- nil
				return
			}
			if err := opened[1].call(large, largeBytes); err != nil {
				done <- err
				return
			}
			rates = append(rates, float64(largeBytes>>20)/time.Since(before).Seconds())
		}
	}()
	for before := time.Now(); before.Before(end); {
		if err := opened[0].call(small, callBytes); err != nil {
			fatal(err)
		}
		after := time.Now()
		took = append(took, float64(after.Sub(before))/1e3)
		before = after
	}
	elapsed := time.Since(start)
	if err := <-done; err != nil {
		fatal(err)
	}
	r := summary([][]float64{took}, elapsed)
	r.Bulk = rates
	return r
}

// Holds connections open, each after a call, until its input ends.
func hold(c *client, small []byte) {
	opened, err := open(c, *connections)
	if err != nil {
		fatal(err)
	}
	for _, conn := range opened {
		if err := conn.call(small, callBytes); err != nil {
			fatal(err)
		}
	}
	fmt.Println("holding")
	io.Copy(io.Discard, os.Stdin)
}

func summary(took [][]float64, elapsed time.Duration) result {
	var all []float64
	for _, some := range took {
		all = append(all, some...)
	}
	sort.Float64s(all)
	r := result{Calls: len(all), Seconds: elapsed.Seconds()}
	if len(all) > 0 {
		at := func(share float64) float64 { return all[int(share*float64(len(all)-1))] }
		r.P50, r.P90, r.P99 = at(0.5), at(0.9), at(0.99)
	}
	return r
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "load:", err)
	os.Exit(1)
}
