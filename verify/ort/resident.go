package ort

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/afc-project/afc/graph"
)

// What a model costs in memory is what a process that loads and runs it has
// resident at its peak: the runtime, weights, the copies of them that the
// runtime packs for its kernels, activations. In this process other models
// count too, so the model is run in one of its own, without afc's decoder.

// residentRequest is what the child is told, as JSON in the first line of its
// standard input; the bytes of the inputs follow.
type residentRequest struct {
	Name, Path      string
	Inputs, Outputs []IO
	Dims            [][]int64 // of the inputs given
	Threads         int
	Provider        Provider
}

// residentRuns is how often the child runs the model: the second run has all
// buffers that the runtime keeps.
const residentRuns = 2

// Resident returns the largest resident memory, in bytes, of a process that
// loads a model's file and runs it on inputs in session order; 0 where the
// system does not tell. Args are the arguments with which this program, started
// anew, calls RunResident and ends.
func Resident(ctx context.Context, args []string, path string, s *Session, inputs []*graph.Tensor) (int64, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return 0, err
	}
	request := residentRequest{Name: s.Model, Path: path, Inputs: s.inputs, Outputs: s.outputs, Threads: s.options.Threads, Provider: s.options.Provider}
	var raw []io.Reader
	for _, t := range inputs {
		b, err := t.Bytes()
		if err != nil {
			return 0, err
		}
		request.Dims = append(request.Dims, t.Dims)
		raw = append(raw, bytes.NewReader(b))
	}
	line, err := json.Marshal(request)
	if err != nil {
		return 0, err
	}
	exe, err := os.Executable()
	if err != nil {
		return 0, err
	}
	Doing("measuring the memory of %s", request.Name)
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Env = append(os.Environ(), guardVariable+"="+unheard)
	cmd.Stdin = io.MultiReader(append([]io.Reader{bytes.NewReader(append(line, '\n'))}, raw...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		return 0, fmt.Errorf("%s: in a process of its own: %w: %s", request.Name, err, strings.TrimSpace(stderr.String()))
	}
	return strconv.ParseInt(strings.TrimSpace(stdout.String()), 10, 64)
}

// RunResident is the child's side of Resident: it runs the model that
// it is told of on stdin and prints the process's largest resident memory.
func RunResident(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	in := bufio.NewReader(stdin)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return err
	}
	var request residentRequest
	if err := json.Unmarshal(line, &request); err != nil {
		return err
	}
	inputs := make([]*graph.Tensor, len(request.Dims))
	for i, dims := range request.Dims {
		elem := request.Inputs[i].Type.Elem
		n, err := (&graph.Tensor{Dims: dims}).NumElements()
		if err != nil {
			return err
		}
		raw := make([]byte, n*int64(elem.Size()))
		if _, err := io.ReadFull(in, raw); err != nil {
			return err
		}
		if inputs[i], err = graph.NewTensor(elem, dims, raw); err != nil {
			return err
		}
	}
	src := modelSource{name: request.Name, path: request.Path, inputs: request.Inputs, outputs: request.Outputs}
	e, _, err := open(src, SessionOptions{Threads: request.Threads, Provider: request.Provider})
	if err != nil {
		return err
	}
	defer e.close()
	b, err := e.bind(inputs, nil)
	if err != nil {
		return err
	}
	defer b.release()
	for range residentRuns {
		if _, err := b.run(ctx); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintln(stdout, peakResident())
	return err
}
