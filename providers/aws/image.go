package aws

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"purser"
)

// Image is what machines of a family start from.
type Image struct {
	// Parameter is a parameter of Systems Manager that holds the image's id, which AWS
	// keeps up to date, or the id itself (ami-…).
	Parameter string
	// RootDevice is how the image calls its root volume. Defaults to /dev/xvda, as Amazon
	// Linux does; Ubuntu calls it /dev/sda1.
	RootDevice string
}

// The families of images.
const (
	FamilyNvidia      = "nvidia"       // NVIDIA GPUs
	FamilyNvidiaArm64 = "nvidia-arm64" // NVIDIA GPUs beside Graviton or Grace
	FamilyNeuron      = "neuron"       // Inferentia and Trainium
	FamilyX86         = "x86"          // everything else, FPGAs among them
	FamilyArm64       = "arm64"        // Graviton
)

const amazonLinuxRoot = "/dev/xvda"

// defaultImages are all on Amazon Linux 2023 and have a container runtime: the Deep
// Learning Base AMI has NVIDIA's open drivers, the Neuron Base AMI those of Inferentia2
// and Trainium (since Neuron 2.26.1 it has none for Inf1, which wants an older image by
// id). All others start from the image of ECS, for its Docker; its agent finds no cluster
// and idles. What FPGAs need is the operator's: their tools come with images of their own.
// https://docs.aws.amazon.com/dlami/latest/devguide/
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/retrieve-ecs-optimized_AMI.html
var defaultImages = map[string]Image{
	FamilyNvidia:      {"/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-amazon-linux-2023/latest/ami-id", amazonLinuxRoot},
	FamilyNvidiaArm64: {"/aws/service/deeplearning/ami/arm64/base-oss-nvidia-driver-gpu-amazon-linux-2023/latest/ami-id", amazonLinuxRoot},
	FamilyNeuron:      {"/aws/service/neuron/dlami/base/amazon-linux-2023/latest/image_id", amazonLinuxRoot},
	FamilyX86:         {"/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id", amazonLinuxRoot},
	FamilyArm64:       {"/aws/service/ecs/optimized-ami/amazon-linux-2023/arm64/recommended/image_id", amazonLinuxRoot},
}

// typeForm takes an instance type apart: letters, generation, attributes, and what
// stands behind a dash, as in p6e-gb200.36xlarge.
var typeForm = regexp.MustCompile(`^([a-z]+)([0-9]*)([a-z]*)(-[a-z0-9]+)*\.`)

// Family is the family of images of an instance type (g5g.xlarge: nvidia-arm64).
func Family(instanceType string) string {
	part := typeForm.FindStringSubmatch(instanceType)
	if part == nil {
		return FamilyX86
	}
	letters, generation, attributes, behind := part[1], part[2], part[3], part[4]
	// An attribute g is Graviton, -gb… is a Grace Blackwell board; a1 was Graviton's first.
	arm := strings.Contains(attributes, "g") || strings.HasPrefix(behind, "-gb") || letters+generation == "a1"
	nvidia := slices.Contains([]string{"p", "g", "gr"}, letters) && attributes != "ad" // g4ad has AMD's
	switch {
	case letters == "inf" || letters == "trn":
		return FamilyNeuron
	case nvidia && arm:
		return FamilyNvidiaArm64
	case nvidia:
		return FamilyNvidia
	case arm:
		return FamilyArm64
	default:
		return FamilyX86
	}
}

// imagesKept is how long the image of a parameter is remembered.
const imagesKept = time.Hour

type knownImage struct {
	id    string
	until time.Time
}

// image gives the id of the family's image in a region.
func (p *Provider) image(ctx context.Context, region, family string) (string, error) {
	name := p.c.Images[family].Parameter
	if strings.HasPrefix(name, "ami-") {
		return name, nil
	}
	key := region + " " + name
	p.mu.Lock()
	known, ok := p.images[key]
	p.mu.Unlock()
	if ok && p.c.Now().Before(known.until) {
		return known.id, nil
	}
	out, err := p.ssm(region).GetParameter(ctx, &ssm.GetParameterInput{Name: &name})
	if err != nil {
		err = failed(ctx, opLaunch, "ssm:GetParameter for the image of "+family+" machines in "+region, err)
		if e, ok := errors.AsType[*purser.Error](err); ok && e.Hint == "" {
			e.Hint = hintImage
		}
		return "", err
	}
	id := ""
	if out.Parameter != nil {
		id = awssdk.ToString(out.Parameter.Value)
	}
	if !strings.HasPrefix(id, "ami-") {
		return "", purser.Errorf(purser.KindInvalid, opLaunch, "the parameter %s in %s holds %q, which is no image", name, region, clip(id))
	}
	p.mu.Lock()
	p.images[key] = knownImage{id, p.c.Now().Add(imagesKept)}
	p.mu.Unlock()
	return id, nil
}
