using System.Runtime.CompilerServices;

namespace Blanket.Machine;

/// <summary>The debug registers of a guest that the CPU works with while one of its vCPUs runs.</summary>
public static unsafe class GuestDebugRegisters
{
    /// <summary>Index of DR6 among the stored registers; 0-3 are DR0-DR3.</summary>
    public const int StatusIndex = 4;

    /// <summary>Index of DR7; 0 while no breakpoint is active, and the registers then need not be loaded.</summary>
    public const int ControlIndex = 5;

    /// <summary>A stored register, 0 to <see cref="ControlIndex"/>; any other index abandons the handler.</summary>
    public static ref ulong At(ref VcpuState state, int index)
    {
        Check.That((uint)index <= ControlIndex);
        return ref Unsafe.AsRef<ulong>(Unsafe.AsPointer(ref state.DebugRegisters[index]));
    }

    /// <summary>Loads the stored registers if the vCPU is the one that runs on this CPU; else the next switch to it does.</summary>
    public static void Reload(ref VcpuState state)
    {
#if METAL
        if (Cpu.CurrentBlock()->CurrentVcpu != Unsafe.AsPointer(ref state))
        {
            return;
        }

        if (state.DebugRegisters[ControlIndex] != 0)
        {
            fixed (ulong* registers = state.DebugRegisters)
            {
                Privileged.LoadDebugRegisters(registers);
            }
        }
        else
        {
            Privileged.ClearDebugControl();
        }
#endif
    }
}
