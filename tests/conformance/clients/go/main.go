// The handler of the aws-lambda-go column: what each operation of the behaviours does.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

// Odd is a failure whose type the error document names.
type Odd struct{ message string }

func (odd *Odd) Error() string { return odd.message }

var (
	instance string
	calls    atomic.Int64
	gap      atomic.Int64
)

type request struct {
	Op    string          `json:"op"`
	Value json.RawMessage `json:"value"`
}

func contextOf(ctx context.Context) any {
	found, _ := lambdacontext.FromContext(ctx)
	deadline, _ := ctx.Deadline()
	var custom any
	if found.ClientContext.Custom != nil {
		custom = found.ClientContext.Custom
	}
	return map[string]any{
		"requestId":       found.AwsRequestID,
		"functionName":    lambdacontext.FunctionName,
		"functionVersion": lambdacontext.FunctionVersion,
		"memoryMb":        lambdacontext.MemoryLimitInMB,
		"arn":             found.InvokedFunctionArn,
		"logGroup":        lambdacontext.LogGroupName,
		"logStream":       lambdacontext.LogStreamName,
		"remainingMs":     time.Until(deadline).Milliseconds(),
		"custom":          custom,
		"trace":           os.Getenv("_X_AMZN_TRACE_ID"),
	}
}

func tick() {
	last := time.Now()
	for {
		time.Sleep(10 * time.Millisecond)
		if since := time.Since(last).Milliseconds(); since > gap.Load() {
			gap.Store(since)
		}
		last = time.Now()
	}
}

func statOf(path string) (any, error) {
	found, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	owner := found.Sys().(*syscall.Stat_t).Uid
	mode := found.Sys().(*syscall.Stat_t).Mode & 0o7777
	return map[string]any{"mode": strconv.FormatUint(uint64(mode), 8), "owner": owner}, nil
}

func list(path string) (any, error) {
	entries, err := os.ReadDir(path)
	names := []string{}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names, err
}

func environment() any {
	found := map[string]string{}
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		found[name] = value
	}
	return found
}

func handle(ctx context.Context, event json.RawMessage) (any, error) {
	var asked request
	if json.Unmarshal(event, &asked) != nil || asked.Op == "" {
		return event, nil
	}
	var number int
	var text string
	var lines [][2]string
	_ = json.Unmarshal(asked.Value, &number)
	_ = json.Unmarshal(asked.Value, &text)
	_ = json.Unmarshal(asked.Value, &lines)
	switch asked.Op {
	case "context":
		return contextOf(ctx), nil
	case "environment":
		return environment(), nil
	case "fail":
		return nil, &Odd{text}
	case "panic":
		panic(&Odd{text})
	case "exit":
		os.Exit(number)
	case "signal":
		_ = syscall.Kill(os.Getpid(), syscall.Signal(number))
		time.Sleep(5 * time.Second)
	case "sleep":
		time.Sleep(time.Duration(number) * time.Millisecond)
		return "slept", nil
	case "letters":
		return strings.Repeat("x", number), nil
	case "length":
		return len([]rune(text)), nil
	case "unserialisable":
		return make(chan int), nil
	case "print":
		for _, line := range lines {
			if line[0] == "out" {
				fmt.Println(line[1])
			} else {
				fmt.Fprintln(os.Stderr, line[1])
			}
		}
		return nil, nil
	case "count":
		time.Sleep(time.Duration(number) * time.Millisecond)
		return map[string]any{"instance": instance, "calls": calls.Add(1)}, nil
	case "write":
		var wanted struct{ Path, Text string }
		_ = json.Unmarshal(asked.Value, &wanted)
		if os.WriteFile(wanted.Path, []byte(wanted.Text), 0o644) != nil {
			return "refused", nil
		}
		return "written", nil
	case "read":
		content, err := os.ReadFile(text)
		if err != nil {
			return nil, nil
		}
		return string(content), nil
	case "list":
		return list(text)
	case "stat":
		return statOf(text)
	case "cwd":
		return os.Getwd()
	case "run":
		output, err := exec.Command("/bin/sh", "-c", text).Output()
		return string(output), err
	case "ticks":
		if string(asked.Value) == "true" {
			go tick()
		}
		time.Sleep(100 * time.Millisecond)
		return gap.Load(), nil
	case "allocate":
		kept := [][]byte{}
		for range number {
			part := make([]byte, 1_000_000)
			for at := range part {
				part[at] = 1
			}
			kept = append(kept, part)
		}
		runtime.KeepAlive(kept)
		return "allocated", nil
	case "stream":
		var parts []string
		_ = json.Unmarshal(asked.Value, &parts)
		return io.Reader(strings.NewReader(strings.Join(parts, ""))), nil
	}
	return nil, &Odd{"no operation " + asked.Op}
}

func main() {
	fmt.Println("initialising")
	switch os.Getenv("INIT") {
	case "fail":
		panic(&Odd{"at init"})
	case "exit":
		os.Exit(9)
	}
	content, _ := os.ReadFile("/proc/sys/kernel/random/uuid")
	instance = strings.TrimSpace(string(content))
	lambda.Start(handle)
}
