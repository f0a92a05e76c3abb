using System;
using System.Diagnostics.CodeAnalysis;
using Blanket.Kernel.Platform;
using Blanket.Machine;

namespace Blanket.Kernel;

/// <summary>The end of the hypervisor: says why and where, then stops the machine. The CLI turns addresses into C# lines.</summary>
internal static unsafe class Panic
{
    private const int MaximumFrames = 32;

    /// <summary>Stops with a reason, showing the caller's stack.</summary>
    [DoesNotReturn]
    internal static void Stop(ReadOnlySpan<byte> reason) => Stop(reason, 0, Cpu.ReadFramePointer());

    /// <summary>Stops with a reason and the stack of a fault.</summary>
    /// <param name="reason">Why.</param>
    /// <param name="instruction">Address of the faulting instruction, 0 for none.</param>
    /// <param name="framePointer">Its frame pointer.</param>
    [DoesNotReturn]
    internal static void Stop(ReadOnlySpan<byte> reason, ulong instruction, ulong framePointer)
    {
        Log.Line("event panic message="u8).Quoted(reason).End();
        Log.Line("stack of CPU "u8).Decimal((ulong)(uint)Cpu.Number).Text(":"u8).End();
        if (instruction != 0)
        {
            Log.Line("  at "u8).Hex(instruction).End();
        }

        WriteStack(framePointer);
        PowerControl.Halt();
        while (true)
        {
            Cpu.Stop();
        }
    }

    /// <summary>Logs return addresses along the chain of frame pointers, as long as they stay on this CPU's stack.</summary>
    internal static void WriteStack(ulong framePointer)
    {
        ulong region = CpuBlockAccess.Region;
        for (int i = 0; i < MaximumFrames; i++)
        {
            if (framePointer < region || framePointer + 16 > region + AddressSpace.CpuRegionSize || (framePointer & 7) != 0)
            {
                return;
            }

            Log.Line("  at "u8).Hex(*(ulong*)(framePointer + 8)).End();
            ulong next = *(ulong*)framePointer;
            if (next <= framePointer)
            {
                return;
            }

            framePointer = next;
        }
    }
}
