using System;

namespace Blanket.TestKernel;

/// <summary>What must cost a domain its life, and nobody else anything.</summary>
internal static unsafe class CrashScenarios
{
    internal static void Run(ReadOnlySpan<byte> name)
    {
    }
}
