namespace Scuse.Attach;

/// <summary>Attaching went wrong; the message is one line for a person.</summary>
sealed class AttachException(string message, Exception? cause = null) : Exception(message, cause);
