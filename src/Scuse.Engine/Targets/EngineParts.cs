using Microsoft.Extensions.Logging;
using Scuse.Engine.Reactors;
using Scuse.Engine.Supervision;

namespace Scuse.Engine.Targets;

/// <summary>What all targets of an engine share.</summary>
/// <param name="Shards">Where their commands live: each target is on one of them.</param>
/// <param name="Attach">Where their handlers attach.</param>
/// <param name="Count">How many they are.</param>
/// <param name="Logger">Where to tell.</param>
sealed record EngineParts(ShardSet Shards, AttachServer Attach, TargetCount Count, ILogger Logger);
