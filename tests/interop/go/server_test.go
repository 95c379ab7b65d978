// Package interop tests the server with Apache Arrow's Go client, which sends and expects other
// things than the C++ one (message sizes, metadata on every message, early reads).
package interop

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/flight"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

const callTimeout = time.Minute

var serverAddress string

// TestMain runs all tests against one server on a free port and checks that it ends well.
func TestMain(m *testing.M) {
	code, err := runWithServer(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runWithServer(m *testing.M) (int, error) {
	binary := os.Getenv("RA_SERVER")
	if binary == "" {
		binary = filepath.Join("..", "..", "..", "build", "remote-arrow-server")
	}
	folder, err := os.MkdirTemp("", "remote-arrow-go-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(folder)
	server := exec.Command(binary, "--port", "0", "--data-dir", filepath.Join(folder, "data"))
	log, err := os.Create(filepath.Join(folder, "log"))
	if err != nil {
		return 1, err
	}
	defer log.Close()
	server.Stderr = log
	stdout, err := server.StdoutPipe()
	if err != nil {
		return 1, err
	}
	if err := server.Start(); err != nil {
		return 1, err
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		text, _ := os.ReadFile(log.Name())
		return 1, fmt.Errorf("the server did not start: %w\n%s", err, text)
	}
	serverAddress = strings.TrimPrefix(strings.TrimSpace(line), "Server online: grpc+tcp://")
	code := m.Run()
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		return 1, err
	}
	if err := server.Wait(); err != nil {
		text, _ := os.ReadFile(log.Name())
		return 1, fmt.Errorf("the server did not end well: %w\n%s", err, text)
	}
	return code, nil
}

// connect gives a client with gRPC's own defaults: messages over 4 MiB are refused.
func connect(t *testing.T, address string) flight.Client {
	t.Helper()
	client, err := flight.NewClientWithMiddleware(
		address, nil, nil, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func callContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	t.Cleanup(cancel)
	return ctx
}
