// Reads the compose file of each folder with the parser of Docker Compose 2, schema and all, as
// `docker compose --project-directory FOLDER config --quiet` does.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
)

func main() {
	for _, folder := range os.Args[1:] {
		options, err := cli.NewProjectOptions(nil, cli.WithWorkingDirectory(folder), cli.WithEnvFiles(),
			cli.WithDotEnv, cli.WithConfigFileEnv, cli.WithDefaultConfigPath)
		if err == nil {
			_, err = options.LoadProject(context.Background())
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, folder+":", err)
			os.Exit(1)
		}
	}
}
