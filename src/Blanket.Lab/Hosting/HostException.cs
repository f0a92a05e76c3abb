using System;

namespace Blanket.Lab.Hosting;

/// <summary>This machine lacks something or a program of it failed. The message is fit to be shown.</summary>
public sealed class HostException(string message) : Exception(message);
