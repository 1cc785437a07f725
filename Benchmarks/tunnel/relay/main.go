// A TCP relay that holds every byte back for a time, each way: a long line where the kernel has no netem. What is on the line is bounded by
// its memory only, so that the line is long and not narrow. Prints its address.
package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"time"
)

// Bytes that may be on the line of one direction: 40 ms at 3 GB/s.
const most = 128 << 20

type piece struct {
	due   time.Time
	bytes []byte
}

func main() {
	target := flag.String("target", "", "where to connect to")
	delay := flag.Duration("delay", 20*time.Millisecond, "for each direction")
	flag.Parse()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, "relay:", err)
		os.Exit(1)
	}
	fmt.Println("listening on", listener.Addr())
	for {
		here, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			there, err := net.Dial("tcp", *target)
			if err != nil {
				here.Close()
				return
			}
			go pass(here.(*net.TCPConn), there.(*net.TCPConn), *delay)
			go pass(there.(*net.TCPConn), here.(*net.TCPConn), *delay)
		}()
	}
}

func pass(from, to *net.TCPConn, delay time.Duration) {
	const size = 128 << 10
	line := make(chan piece, most/size)
	go func() {
		defer close(line)
		for {
			buffer := make([]byte, size)
			n, err := from.Read(buffer)
			if n > 0 {
				// A small piece keeps no large buffer.
				if n < size/4 {
					buffer = append([]byte(nil), buffer[:n]...)
				}
				line <- piece{time.Now().Add(delay), buffer[:n]}
			}
			if err != nil {
				return
			}
		}
	}()
	for next := range line {
		if wait := time.Until(next.due); wait > 0 {
			time.Sleep(wait)
		}
		if _, err := to.Write(next.bytes); err != nil {
			from.Close()
			for range line {
			}
			break
		}
	}
	to.CloseWrite()
}
