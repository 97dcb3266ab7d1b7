using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.NoEmit;
using Scuse.Bench.Micro;

// In this process: what is built here is what is measured, wherever the artifacts are.
IConfig config = DefaultConfig.Instance.AddJob(Job.Default.WithToolchain(InProcessNoEmitToolchain.Instance).AsDefault());
BenchmarkSwitcher.FromAssembly(typeof(RingHop).Assembly).Run(args.Length == 0 ? ["--filter", "*"] : args, config);
