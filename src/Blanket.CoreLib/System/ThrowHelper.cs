using System.Diagnostics.CodeAnalysis;
using System.Runtime;
using System.Runtime.CompilerServices;

namespace System;

/// <summary>Where every failed check of the language ends: the handler that runs is abandoned (docs/architecture.md).</summary>
public static class ThrowHelper
{
    /// <summary>Abandons the handler that runs; never returns.</summary>
    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "abandon_handler")]
    public static extern void Abandon();
}
