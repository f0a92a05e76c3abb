#if METAL
namespace Blanket.Machine;

/// <summary>Moves the part of a vCPU that lives in the CPU (segments, bases, vector and debug state) out and in.</summary>
public static unsafe class GuestSwitch
{
    /// <summary>The address of a vCPU's state, for <see cref="CpuBlock.CurrentVcpu"/>.</summary>
    public static VcpuState* Pointer(ref VcpuState state) => (VcpuState*)System.Runtime.CompilerServices.Unsafe.AsPointer(ref state);

    /// <summary>Saves what the CPU holds of its current vCPU, which then is nobody's.</summary>
    public static void SaveCurrent()
    {
        CpuBlock* block = Cpu.CurrentBlock();
        VcpuState* state = block->CurrentVcpu;
        if (state == null)
        {
            return;
        }

        ulong selectors = Privileged.ReadSelectors();
        state->Ds = (ushort)selectors;
        state->Es = (ushort)(selectors >> 16);
        state->Fs = (ushort)(selectors >> 32);
        state->Gs = (ushort)(selectors >> 48);
        state->FsBase = Cpu.ReadMsr(Msr.FsBase);
        ulong active = Cpu.ReadMsr(Msr.GsBase);
        ulong inactive = Cpu.ReadMsr(Msr.KernelGsBase);
        state->GsBaseKernel = state->InKernel != 0 ? active : inactive;
        state->GsBaseUser = state->InKernel != 0 ? inactive : active;
        ExtendedControl.EnterSwitch(state);
        Privileged.SaveVectorState(state, (byte*)state + VcpuState.ExtendedStateOffset, CpuSetup.ExtendedComponents);
        if (state->DebugRegisters[5] != 0)
        {
            Privileged.ClearDebugControl();
        }

        block->CurrentVcpu = null;
    }

    /// <summary>Makes a vCPU this CPU's current one. Its descriptor tables must already be in the CPU's window.</summary>
    /// <returns>False when a selector or the vector state of the guest could not be loaded (they are then null or initial).</returns>
    public static bool Load(ref VcpuState target)
    {
        fixed (VcpuState* state = &target)
        {
            CpuBlock* block = Cpu.CurrentBlock();
            state->Cpu = block;
            *(ulong*)(block->TaskState + 4) = (ulong)state + VcpuState.RegistersEnd;
            Cpu.WriteCr3(state->InKernel != 0 ? state->KernelCr3 : state->UserCr3);

            // Loading a selector zeroes its base; bases come after selectors.
            uint failed = Privileged.LoadDs(state->Ds) | Privileged.LoadEs(state->Es)
                | Privileged.LoadFs(state->Fs) | Privileged.LoadGs(state->Gs);
            Cpu.WriteMsr(Msr.FsBase, state->FsBase);
            Cpu.WriteMsr(Msr.GsBase, state->InKernel != 0 ? state->GsBaseKernel : state->GsBaseUser);
            Cpu.WriteMsr(Msr.KernelGsBase, state->InKernel != 0 ? state->GsBaseUser : state->GsBaseKernel);
            failed |= Privileged.LoadVectorState(state, (byte*)state + VcpuState.ExtendedStateOffset, CpuSetup.ExtendedComponents);
            ExtendedControl.LeaveSwitch(state);
            if (state->DebugRegisters[5] != 0)
            {
                Privileged.LoadDebugRegisters(state->DebugRegisters);
            }

            block->CurrentVcpu = state;
            return failed == 0;
        }
    }

    /// <summary>Guest user mode to guest kernel mode of the running vCPU: root page table and GS base.</summary>
    public static void EnterGuestKernel(ref VcpuState state)
    {
        state.InKernel = 1;
        Cpu.WriteCr3(state.KernelCr3);
        Privileged.SwapGs();
    }

    /// <summary>
    /// Loads the GS selector of guest user mode while the guest is in kernel mode; its base becomes the inactive one, the active one stays.
    /// A selector that the guest's table does not allow becomes null.
    /// </summary>
    public static void LoadUserGs(ushort selector)
    {
        ulong kernelBase = Cpu.ReadMsr(Msr.GsBase);
        if (Privileged.LoadGs((ushort)(selector | ((selector & ~3) != 0 ? 3 : 0))) != 0)
        {
            Privileged.LoadGs(0);
        }

        Cpu.WriteMsr(Msr.KernelGsBase, Cpu.ReadMsr(Msr.GsBase));
        Cpu.WriteMsr(Msr.GsBase, kernelBase);
    }

    /// <summary>Guest kernel mode to guest user mode of the running vCPU.</summary>
    public static void EnterGuestUser(ref VcpuState state)
    {
        state.InKernel = 0;
        Cpu.WriteCr3(state.UserCr3);
        Privileged.SwapGs();
    }
}
#else
namespace Blanket.Machine;

/// <summary>Mode switches of a simulated vCPU.</summary>
public static class GuestSwitch
{
    public static void EnterGuestKernel(ref VcpuState state) => state.InKernel = 1;

    public static void EnterGuestUser(ref VcpuState state) => state.InKernel = 0;

    public static void LoadUserGs(ushort selector)
    {
    }
}
#endif
