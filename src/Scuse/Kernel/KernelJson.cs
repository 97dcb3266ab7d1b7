using System.Text.Json;
using System.Text.Json.Serialization;

namespace Scuse.Cli.Kernel;

/// <summary>What programs get to see of the kernel's backstores.</summary>
[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, UseStringEnumConverter = true, WriteIndented = true)]
[JsonSerializable(typeof(IReadOnlyList<Backstore>))]
[JsonSerializable(typeof(IReadOnlyList<Finding>))]
sealed partial class KernelJson : JsonSerializerContext;
