using System;
using Blanket.Abi.Xen;

namespace Blanket.Core.Building;

/// <summary>The feature list of a kernel: names separated by '|', one with '!' in front is required (elfnote.h, FEATURES).</summary>
internal static class KernelFeatures
{
    // Features that no 64-bit unprivileged PV guest has.
    private const uint Impossible =
        (1U << Feature.AutoTranslatedPhysmap) | (1U << Feature.SupervisorModeKernel) | (1U << Feature.Dom0);

    /// <summary>Adds the features of a list to those that the kernel has named already.</summary>
    internal static void Parse(ReadOnlySpan<byte> list, ref KernelParameters parameters)
    {
        while (!list.IsEmpty)
        {
            int bar = list.IndexOf((byte)'|');
            ReadOnlySpan<byte> name = bar < 0 ? list : list.Slice(0, bar);
            list = bar < 0 ? default : list.Slice(bar + 1);
            Add(name, ref parameters);
        }
    }

    /// <summary>Whether a PV guest has everything that the kernel requires, and the kernel knows it itself.</summary>
    internal static bool AreMet(in KernelParameters parameters) =>
        !parameters.RequiresUnknownFeature
        && (parameters.RequiredFeatures & Impossible) == 0
        && (parameters.RequiredFeatures & ~parameters.SupportedFeatures) == 0;

    private static void Add(ReadOnlySpan<byte> name, ref KernelParameters parameters)
    {
        bool required = !name.IsEmpty && name[0] == '!';
        int bit = BitOf(required ? name.Slice(1) : name);
        if (bit < 0)
        {
            parameters.RequiresUnknownFeature |= required;
            return;
        }

        parameters.SupportedFeatures |= 1U << bit;
        parameters.RequiredFeatures |= required ? 1U << bit : 0;
    }

    private static int BitOf(ReadOnlySpan<byte> name)
    {
        if (name.SequenceEqual("writable_page_tables"u8))
        {
            return Feature.WritablePageTables;
        }

        if (name.SequenceEqual("writable_descriptor_tables"u8))
        {
            return Feature.WritableDescriptorTables;
        }

        if (name.SequenceEqual("auto_translated_physmap"u8))
        {
            return Feature.AutoTranslatedPhysmap;
        }

        if (name.SequenceEqual("supervisor_mode_kernel"u8))
        {
            return Feature.SupervisorModeKernel;
        }

        if (name.SequenceEqual("pae_pgdir_above_4gb"u8))
        {
            return Feature.PaePgdirAbove4Gb;
        }

        if (name.SequenceEqual("hvm_callback_vector"u8))
        {
            return Feature.HvmCallbackVector;
        }

        return name.SequenceEqual("dom0"u8) ? Feature.Dom0 : -1;
    }
}
