using System;

namespace Blanket.Lab.Kernels;

/// <summary>A file is not a kernel that can be used. The message continues a sentence that starts with the file's name.</summary>
public sealed class KernelException(string message) : Exception(message);
