package services

import (
	"pulse-control-plane/database"
	"pulse-control-plane/services/composition"
)

// Config of New; its comments say which fields are required.
type Config = composition.Config

// Services are all services over one engine.
type Services = composition.Services

// Media is what the installation allows of egress and ingress.
type Media = composition.Media

// Worker is long work that lasts as long as the process.
type Worker = composition.Worker

// Cluster is what services ask of a LiveKit cluster.
type Cluster = composition.Cluster

// New builds every service over an engine whose schema exists. It starts
// nothing: Workers does the long work. It fails if a required field is missing.
func New(engine database.Engine, c Config) (*Services, error) { return composition.New(engine, c) }
