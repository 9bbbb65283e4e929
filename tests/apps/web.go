// SPDX-License-Identifier: MIT

// An HTTP server and its client, with Go's runtime and its own system calls: no libc.
//
//	web server PORT          until SIGTERM, then an orderly shutdown
//	web client HOST PORT     does the work below and prints a line for each part
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func pattern(n int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(i + i>>8)
	}
	return data
}

func serve(port string) {
	var aborted, conns int32
	mux := http.NewServeMux()
	mux.HandleFunc("/bytes/", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/bytes/"))
		w.Write(pattern(n))
	})
	mux.HandleFunc("/sha256", func(w http.ResponseWriter, r *http.Request) {
		hash := sha256.New()
		io.Copy(hash, r.Body)
		fmt.Fprint(w, hex.EncodeToString(hash.Sum(nil)))
	})
	mux.HandleFunc("/port", func(w http.ResponseWriter, r *http.Request) {
		_, port, _ := net.SplitHostPort(r.RemoteAddr)
		fmt.Fprint(w, port)
	})
	mux.HandleFunc("/never", func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done() // the client closed
		atomic.AddInt32(&aborted, 1)
	})
	mux.HandleFunc("/aborted", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, atomic.LoadInt32(&aborted))
	})
	server := &http.Server{Handler: mux, ConnState: func(c net.Conn, s http.ConnState) {
		if s == http.StateNew {
			atomic.AddInt32(&conns, 1)
		}
	}}
	listener, err := net.Listen("tcp", ":"+port) // one dual-stack socket
	check(err)
	done := make(chan os.Signal, 1)
	signal.Notify(done, syscall.SIGTERM)
	go func() {
		<-done
		server.Shutdown(context.Background())
	}()
	if err := server.Serve(listener); err != http.ErrServerClosed {
		check(err)
	}
	fmt.Println("connections", conns)
}

func check(err error) {
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

func fetch(client *http.Client, url string, body []byte) []byte {
	var response *http.Response
	var err error
	if body != nil {
		response, err = client.Post(url, "application/octet-stream", bytes.NewReader(body))
	} else {
		response, err = client.Get(url)
	}
	check(err)
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	check(err)
	return data
}

func isTimeout(err error) bool {
	var netErr net.Error
	return errors.As(err, &netErr) && netErr.Timeout()
}

// The deadlines of a plain connection: read, and write against a peer that does not read.
func deadlines(address string) {
	conn, err := net.Dial("tcp", address)
	check(err)
	conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	_, err = conn.Read(make([]byte, 1))
	fmt.Println("read deadline", isTimeout(err))
	conn.SetDeadline(time.Time{})
	fmt.Fprintf(conn, "GET /bytes/3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	answer, err := io.ReadAll(conn)
	check(err)
	fmt.Println("then", bytes.HasSuffix(answer, pattern(3)))
	conn.Close()

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	defer listener.Close()
	listener.(*net.TCPListener).SetDeadline(time.Now().Add(50 * time.Millisecond))
	_, err = listener.Accept()
	fmt.Println("accept deadline", isTimeout(err))
	listener.(*net.TCPListener).SetDeadline(time.Time{})
	deaf, err := net.Dial("tcp", listener.Addr().String())
	check(err)
	deaf.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	_, err = deaf.Write(make([]byte, 64<<20))
	fmt.Println("write deadline", isTimeout(err))
}

func work(host, port string) {
	base := "http://" + net.JoinHostPort(host, port)
	client := &http.Client{}
	for _, n := range []int{0, 1, 100000, 3000000} {
		if !bytes.Equal(fetch(client, base+"/bytes/"+strconv.Itoa(n), nil), pattern(n)) {
			fmt.Println("bytes differ", n)
		}
	}
	sum := sha256.Sum256(pattern(5000000))
	fmt.Println("upload", string(fetch(client, base+"/sha256", pattern(5000000))) == hex.EncodeToString(sum[:]))

	ports := map[string]bool{}
	for i := 0; i < 50; i++ {
		ports[string(fetch(client, base+"/port", nil))] = true
	}
	fmt.Println("kept alive", len(ports))

	var group sync.WaitGroup
	var good int32
	start := make(chan struct{})
	pool := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 200}}
	for i := 0; i < 200; i++ {
		group.Add(1)
		go func(n int) {
			defer group.Done()
			<-start
			for turn := 0; turn < 3; turn++ {
				if bytes.Equal(fetch(pool, base+"/bytes/"+strconv.Itoa(n*50), nil), pattern(n*50)) {
					atomic.AddInt32(&good, 1)
				}
			}
		}(i)
	}
	close(start)
	group.Wait()
	fmt.Println("concurrent", good)
	pool.CloseIdleConnections()

	before, _ := strconv.Atoi(string(fetch(client, base+"/aborted", nil)))
	impatient := &http.Client{Timeout: 100 * time.Millisecond}
	_, err := impatient.Get(base + "/never")
	fmt.Println("client deadline", isTimeout(err))
	after := before
	for i := 0; i < 100 && after == before; i++ {
		time.Sleep(10 * time.Millisecond)
		after, _ = strconv.Atoi(string(fetch(client, base+"/aborted", nil)))
	}
	fmt.Println("server saw the close", after-before)
	_, err = net.Dial("tcp", net.JoinHostPort(host, "1"))
	fmt.Println("refused", errors.Is(err, syscall.ECONNREFUSED))
	deadlines(net.JoinHostPort(host, port))
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "server" {
		serve(os.Args[2])
	} else if len(os.Args) == 4 && os.Args[1] == "client" {
		work(os.Args[2], os.Args[3])
	} else {
		fmt.Fprintln(os.Stderr, "usage: web server PORT | web client HOST PORT")
		os.Exit(2)
	}
}
