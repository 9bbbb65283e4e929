// SPDX-License-Identifier: MIT

// An HTTP server and its client, with Go's runtime and its own system calls: no libc.
//
//	web server PORT [FOLDER]   until SIGTERM, then an orderly shutdown; serves the folder's files; at SIGHUP the
//	                           program starts itself anew, which goes on with the same listening socket
//	web proxy PORT ADDRESS     passes bytes on to ADDRESS, which it does by splice(2)
//	web client HOST PORT       does the work below and prints a line for each part
//	web load HOST PORT FILE    asks for the file's hash until it is removed, a connection each
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
	"os/exec"
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

func serve(port, folder string) {
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
	mux.HandleFunc("/pid", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, os.Getpid())
	})
	mux.Handle("/files/", http.StripPrefix("/files/", http.FileServer(http.Dir(folder)))) // by sendfile(2)
	server := &http.Server{Handler: mux, ConnState: func(c net.Conn, s http.ConnState) {
		if s == http.StateNew {
			atomic.AddInt32(&conns, 1)
		}
	}}
	listener := listen(port)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGHUP)
	done := make(chan bool)
	go func() {
		var next *os.Process
		if <-signals == syscall.SIGHUP {
			next = startAnew(listener)
		}
		server.Shutdown(context.Background())
		if next != nil {
			// What asks this process to stop means whoever does its work now.
			<-signals
			next.Signal(syscall.SIGTERM)
			next.Wait()
		}
		close(done)
	}()
	if err := server.Serve(listener); err != http.ErrServerClosed {
		check(err)
	}
	<-done
	fmt.Println("connections", conns)
}

// The socket of the process before, or a new one, for both IP versions.
func listen(port string) net.Listener {
	if os.Getenv("WEB_LISTENER") != "" {
		listener, err := net.FileListener(os.NewFile(3, "listener"))
		check(err)
		return listener
	}
	listener, err := net.Listen("tcp", ":"+port)
	check(err)
	return listener
}

func startAnew(listener net.Listener) *os.Process {
	file, err := listener.(*net.TCPListener).File()
	check(err)
	command := exec.Command(os.Args[0], os.Args[1:]...)
	command.Env = append(os.Environ(), "WEB_LISTENER=1")
	command.ExtraFiles = []*os.File{file}
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	check(command.Start())
	file.Close()
	return command.Process
}

func proxy(port, to string) {
	listener := listen(port)
	for {
		here, err := listener.Accept()
		check(err)
		go func() {
			there, err := net.Dial("tcp", to)
			check(err)
			go func() {
				io.Copy(there, here)
				there.(*net.TCPConn).CloseWrite()
			}()
			io.Copy(here, there)
			here.(*net.TCPConn).CloseWrite()
			here.Close()
			there.Close()
		}()
	}
}

// Connections one after the other while the server is replaced: none may fail. Prints how many processes answered.
func load(base, name string) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	pids := map[string]bool{}
	for {
		if _, err := os.Stat(name); err != nil {
			break
		}
		pids[string(fetch(client, base+"/pid", nil))] = true
	}
	fmt.Println("processes", len(pids))
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
	args := append(os.Args[1:], make([]string, 4)...)
	switch args[0] {
	case "server":
		serve(args[1], args[2])
	case "proxy":
		proxy(args[1], args[2])
	case "client":
		work(args[1], args[2])
	case "load":
		load("http://"+net.JoinHostPort(args[1], args[2]), args[3])
	default:
		fmt.Fprintln(os.Stderr, "usage: web server|proxy|client|load ...")
		os.Exit(2)
	}
}
