//go:build cgo

package verify

import (
	"context"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/afc-project/afc/graph"
)

// environment starts ONNX Runtime once a process. It is never torn down:
// unloading the library while its threads end is not safe.
var environment = sync.OnceValue(func() error {
	lib, err := Find()
	if err != nil {
		return err
	}
	ort.SetSharedLibraryPath(lib.Path)
	if err := ort.InitializeEnvironment(ort.WithLogLevelWarning()); err != nil {
		reason := fmt.Sprintf("%s (found through %s) does not load: %v", lib.Path, lib.From, err)
		if strings.Contains(err.Error(), "setting ORT API base") {
			reason = fmt.Sprintf("%s (found through %s) is older than 1.24", lib.Path, lib.From)
		}
		return &UnavailableError{"ONNX Runtime", reason, howToGet}
	}
	return nil
})

// Version returns the version of the ONNX Runtime that is used.
func Version() (string, error) {
	if err := environment(); err != nil {
		return "", err
	}
	return ort.GetVersion(), nil
}

// ortEngine is a session of ONNX Runtime.
type ortEngine struct {
	name    string
	session *ort.DynamicAdvancedSession
	outputs []IO
}

// open loads a model and returns what the runtime logged meanwhile.
func open(src modelSource, opt SessionOptions) (engine, []string, error) {
	if err := environment(); err != nil {
		return nil, nil, err
	}
	so, err := sessionOptions(src, opt)
	if err != nil {
		return nil, nil, err
	}
	defer so.Destroy()
	in, out := names(src.inputs), names(src.outputs)
	var session *ort.DynamicAdvancedSession
	log, err := captureLog(func() error {
		if src.path != "" {
			session, err = ort.NewDynamicAdvancedSession(src.path, in, out, so)
		} else {
			session, err = ort.NewDynamicAdvancedSessionWithONNXData(src.data, in, out, so)
		}
		return err
	})
	if err != nil {
		return nil, nil, &RunError{src.name, "load", runtimeText(err)}
	}
	return &ortEngine{src.name, session, src.outputs}, log, nil
}

// runtimeText drops the binding's own words from an error.
func runtimeText(err error) string {
	text := err.Error()
	for _, prefix := range []string{"Error creating C session from file: ", "Error creating C session: ", "Error running network: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	return text
}

var ortOptLevels = map[OptLevel]ort.GraphOptimizationLevel{
	OptNone:     ort.GraphOptimizationLevelDisableAll,
	OptBasic:    ort.GraphOptimizationLevelEnableBasic,
	OptExtended: ort.GraphOptimizationLevelEnableExtended,
	OptAll:      ort.GraphOptimizationLevelEnableAll,
}

func sessionOptions(src modelSource, opt SessionOptions) (_ *ort.SessionOptions, err error) {
	so, err := ort.NewSessionOptions()
	if err != nil {
		return nil, &RunError{src.name, "session options", err.Error()}
	}
	defer func() {
		if err != nil {
			so.Destroy()
		}
	}()
	set := func(call string, e error) {
		if e != nil && err == nil {
			err = &RunError{src.name, call, e.Error()}
		}
	}
	set("log level", so.SetLogSeverityLevel(ort.LoggingLevelWarning))
	set("optimisation level", so.SetGraphOptimizationLevel(ortOptLevels[opt.OptLevel]))
	if opt.Threads > 0 {
		set("threads", so.SetIntraOpNumThreads(opt.Threads))
		set("threads", so.SetInterOpNumThreads(1))
	}
	if opt.ProfilePrefix != "" {
		set("profiling", so.EnableProfiling(opt.ProfilePrefix))
	}
	if opt.OptimizedPath != "" {
		set("optimised model path", so.SetOptimizedModelFilePath(opt.OptimizedPath))
	}
	if src.folder != "" {
		set("external data folder", so.AddSessionConfigEntry("session.model_external_initializers_file_folder_path", src.folder))
	}
	for key, value := range opt.Config {
		set("config "+key, so.AddSessionConfigEntry(key, value))
	}
	if err == nil && !opt.Provider.CPU() {
		err = appendProvider(so, opt.Provider)
	}
	if err != nil {
		return nil, err
	}
	return so, nil
}

// ortBinding holds inputs as runtime values.
type ortBinding struct {
	e      *ortEngine
	inputs []ort.Value
}

func (e *ortEngine) bind(inputs []*graph.Tensor) (binding, error) {
	b := &ortBinding{e: e}
	for i, t := range inputs {
		v, err := newValue(t)
		if err != nil {
			b.release()
			return nil, &RunError{e.name, fmt.Sprintf("bind input %d", i), err.Error()}
		}
		b.inputs = append(b.inputs, v)
	}
	return b, nil
}

func (b *ortBinding) release() {
	for _, v := range b.inputs {
		v.Destroy()
	}
	b.inputs = nil
}

func (b *ortBinding) run(ctx context.Context) ([]*graph.Tensor, error) {
	outputs := make([]ort.Value, len(b.e.outputs))
	defer func() {
		for _, v := range outputs {
			// Where the binding cannot take an output over (a scalar), it
			// leaves a nil tensor in the interface.
			if v != nil && !reflect.ValueOf(v).IsNil() {
				v.Destroy()
			}
		}
	}()
	// The binding sizes the buffer of a 16-bit output it allocates itself in
	// elements, not bytes; give it one where the shape is known.
	for i, o := range b.e.outputs {
		if dt := o.Type.Elem; (dt == graph.Float16 || dt == graph.BFloat16) && o.Type.Shape.Static() {
			n, err := (&graph.Tensor{Dims: o.Type.Shape.Dims()}).NumElements()
			if err != nil {
				return nil, &RunError{b.e.name, "allocate output " + o.Name, err.Error()}
			}
			if outputs[i], err = ort.NewCustomDataTensor(o.Type.Shape.Dims(), make([]byte, 2*n), ort.TensorElementDataType(dt)); err != nil {
				return nil, &RunError{b.e.name, "allocate output " + o.Name, err.Error()}
			}
		}
	}
	opts, err := ort.NewRunOptions()
	if err != nil {
		return nil, &RunError{b.e.name, "run", err.Error()}
	}
	defer opts.Destroy()
	stop := context.AfterFunc(ctx, func() { opts.Terminate() })
	err = b.e.session.RunWithOptions(b.inputs, outputs, opts)
	runtime.KeepAlive(b.inputs)
	if !stop() {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, &RunError{b.e.name, "run", runtimeText(err)}
	}
	tensors := make([]*graph.Tensor, len(outputs))
	for i, v := range outputs {
		if tensors[i], err = tensorOf(v); err != nil {
			return nil, &RunError{b.e.name, "read output " + b.e.outputs[i].Name, err.Error()}
		}
	}
	return tensors, nil
}

func (e *ortEngine) close() error {
	if err := e.session.Destroy(); err != nil {
		return &RunError{e.name, "close", err.Error()}
	}
	return nil
}
