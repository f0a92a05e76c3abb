namespace Blanket.Machine;

/// <summary>XCR0 of the vCPU that runs on a CPU. While vector state is switched the CPU has <see cref="CpuSetup.ExtendedComponents"/>.</summary>
public static unsafe class ExtendedControl
{
    /// <summary>Notes a vCPU's XCR0 and loads it if that vCPU runs on this CPU; its state in components that go stays in the CPU.</summary>
    public static void Load(ref VcpuState state, ulong value)
    {
        state.ExtendedComponents = value;
#if METAL
        if (Cpu.CurrentBlock()->CurrentVcpu == System.Runtime.CompilerServices.Unsafe.AsPointer(ref state))
        {
            Privileged.WriteExtendedControl(value);
        }
#endif
    }

#if METAL
    /// <summary>All components are accessible, so that those that the guest has disabled are saved too.</summary>
    internal static void EnterSwitch(VcpuState* state)
    {
        if (IsRestricted(state))
        {
            Privileged.WriteExtendedControl(CpuSetup.ExtendedComponents);
        }
    }

    /// <summary>After a vCPU's state was loaded.</summary>
    internal static void LeaveSwitch(VcpuState* state)
    {
        if (IsRestricted(state))
        {
            Privileged.WriteExtendedControl(state->ExtendedComponents);
        }
    }

    private static bool IsRestricted(VcpuState* state) =>
        state->ExtendedComponents != 0 && state->ExtendedComponents != CpuSetup.ExtendedComponents;
#endif
}
