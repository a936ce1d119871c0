package purser

import (
	"fmt"
	"math"
)

// Model says how large a model is, and so over how many devices it has to be split.
type Model struct {
	Parameters        float64
	BytesPerParameter float64 // of the weights, for inference; 0: DefaultBytesPerParameter
	TrainingState     float64 // bytes per parameter of weights, gradients and optimizer, for training; 0: DefaultTrainingState
	Overhead          float64 // what activations, caches and buffers take beside, as a share; 0.2 is a fifth more
	Layers            int     // a stage is whole layers; 0: a stage can be any part
	TensorEfficiency  float64 // what a doubling of the devices that share a layer keeps; 0: DefaultTensorEfficiency
	Microbatches      int     // that fill the pipeline of stages in turn; 0: DefaultMicrobatches
}

// The defaults of Model. 16 bytes are weights and gradients in 2 bytes each beside
// a copy of the weights and two moments in 4 bytes each, as mixed-precision Adam has
// them.
const (
	DefaultBytesPerParameter = 2
	DefaultTrainingState     = 16
	DefaultTensorEfficiency  = 0.9
	DefaultMicrobatches      = 8
)

// Split is a way to hold one copy of a model: each layer over so many devices of
// one machine, the layers in stages over so many machines.
type Split struct {
	Devices, Stages int
	MemoryMiB       int64   // on each device
	Speed           float64 // of the copy, in that of one device
}

// maxTensor is the most devices that share a layer: what one machine connects.
const maxTensor = 8

// Splits lists the ways to hold the model on devices of a memory: 1, 2, 4 and 8
// devices a machine, each with the fewest stages that do, up to the first that needs
// one stage alone. A service has one stage. It is empty when nothing does.
//
// With t devices, s stages and m microbatches a copy is t·s·e^log₂(t)·m/(m+s−1) times
// as fast as one device would be that held it all: e is what a doubling keeps, and
// (s−1)/(m+s−1) of the time the pipeline fills and empties (Huang et al. 2019).
func (m Model) Splits(kind GroupKind, deviceMiB int64) []Split {
	var out []Split
	for t, speed := 1, 1.0; t <= maxTensor; t, speed = 2*t, speed*2*or(m.TensorEfficiency, DefaultTensorEfficiency) {
		s := m.stages(kind, float64(t)*float64(deviceMiB))
		if s == 0 {
			continue
		}
		batches := m.Microbatches
		if batches == 0 {
			batches = DefaultMicrobatches
		}
		out = append(out, Split{
			Devices: t, Stages: s, MemoryMiB: int64(math.Ceil(m.mib(kind) * m.part(s) / float64(t))),
			Speed: speed * float64(s) * float64(batches) / float64(batches+s-1),
		})
		if s == 1 {
			break
		}
	}
	return out
}

// stages is the fewest stages whose parts fit into a memory in MiB; 0: none do.
func (m Model) stages(kind GroupKind, room float64) int {
	most := MaxStages
	if m.Layers > 0 {
		most = min(most, m.Layers)
	}
	if kind == Inference {
		most = 1
	}
	whole := m.mib(kind)
	for s := 1; s <= most; s++ {
		if whole*m.part(s) <= room {
			return s
		}
	}
	return 0
}

// part is the share of the model that the largest of s stages holds.
func (m Model) part(s int) float64 {
	if m.Layers == 0 {
		return 1 / float64(s)
	}
	return math.Ceil(float64(m.Layers)/float64(s)) / float64(m.Layers)
}

// mib is the memory of a whole copy.
func (m Model) mib(kind GroupKind) float64 {
	each := or(m.BytesPerParameter, DefaultBytesPerParameter)
	if kind == Training {
		each = or(m.TrainingState, DefaultTrainingState)
	}
	return m.Parameters * each * (1 + m.Overhead) / (1 << 20)
}

// GiB is the memory of a whole copy, for messages.
func (m Model) GiB(kind GroupKind) float64 { return m.mib(kind) / 1024 }

func or(x, otherwise float64) float64 {
	if x == 0 {
		return otherwise
	}
	return x
}

// Check says what is wrong with the model, or nil.
func (m Model) Check() error {
	bad := func(format string, args ...any) error {
		return Errorf(KindInvalid, "purser.Model.Check", "%s", fmt.Sprintf(format, args...))
	}
	switch {
	case !(m.Parameters > 0 && m.Parameters <= 1e15):
		return bad("a model has parameters: write them like 7B or 350M")
	case !(m.BytesPerParameter >= 0 && m.BytesPerParameter <= 64), !(m.TrainingState >= 0 && m.TrainingState <= 256):
		return bad("a parameter takes up to 64 bytes, in training up to 256")
	case !(m.Overhead >= 0 && m.Overhead <= 100):
		return bad("an overhead is a share such as 20%%")
	case m.Layers < 0 || m.Layers > 100_000, m.Microbatches < 0 || m.Microbatches > 1_000_000:
		return bad("layers and microbatches are whole numbers")
	case !(m.TensorEfficiency >= 0 && m.TensorEfficiency <= 1):
		return bad("what a doubling keeps lies above 0 and at most at 1")
	}
	return nil
}
