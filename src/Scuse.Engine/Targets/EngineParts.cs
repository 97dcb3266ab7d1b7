using Microsoft.Extensions.Logging;
using Scuse.Engine.Backstores;
using Scuse.Engine.Reactors;
using Scuse.Engine.Supervision;

namespace Scuse.Engine.Targets;

/// <summary>What all targets of an engine share.</summary>
/// <param name="Reactor">Where their commands live.</param>
/// <param name="Attach">Where their handlers attach.</param>
/// <param name="Memory">What their data areas are a share of.</param>
/// <param name="Count">How many they are.</param>
/// <param name="Logger">Where to tell.</param>
sealed record EngineParts(Reactor Reactor, AttachServer Attach, DataMemory Memory, TargetCount Count, ILogger Logger);
