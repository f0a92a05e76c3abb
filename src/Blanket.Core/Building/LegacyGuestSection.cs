using System;
using Blanket.Abi;

namespace Blanket.Core.Building;

/// <summary>
/// The section __xen_guest, which kernels had before there were notes: NAME=VALUE pairs separated by commas, ended by NUL
/// (the LEGACY remarks of elfnote.h).
/// </summary>
internal static class LegacyGuestSection
{
    /// <summary>Reads the section if there is one; false when there is none or it is not inside the file.</summary>
    internal static bool TryRead(in ElfImage image, ref KernelParameters parameters)
    {
        if (!image.TryFindSection("__xen_guest"u8, out Elf64SectionHeader section)
            || !image.TryGetBytes(section.Offset, section.Size, out ReadOnlySpan<byte> text))
        {
            return false;
        }

        parameters.IsLegacy = true;
        int end = text.IndexOf((byte)0);
        text = end < 0 ? text : text.Slice(0, end);
        while (!text.IsEmpty)
        {
            int comma = text.IndexOf((byte)',');
            ReadOnlySpan<byte> pair = comma < 0 ? text : text.Slice(0, comma);
            text = comma < 0 ? default : text.Slice(comma + 1);
            int equals = pair.IndexOf((byte)'=');
            Take(equals < 0 ? pair : pair.Slice(0, equals), equals < 0 ? default : pair.Slice(equals + 1), ref parameters);
        }

        // The legacy value is a page number counted from the start of the kernel's mapping.
        if (parameters.VirtualBase != KernelParameters.Unset && parameters.HypercallPage != KernelParameters.Unset)
        {
            parameters.HypercallPage = unchecked(parameters.HypercallPage + parameters.VirtualBase);
        }

        return true;
    }

    private static void Take(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, ref KernelParameters parameters)
    {
        if (name.SequenceEqual("LOADER"u8))
        {
            parameters.IsGeneric = value.StartsWith("generic"u8);
        }
        else if (name.SequenceEqual("GUEST_OS"u8))
        {
            parameters.IsLinux = value.StartsWith("linux"u8);
        }
        else if (name.SequenceEqual("XEN_VER"u8))
        {
            parameters.IsForXen30 = value.StartsWith("xen-3.0"u8);
        }
        else if (name.SequenceEqual("BSD_SYMTAB"u8))
        {
            parameters.WantsSymbols = true;
        }
        else if (name.SequenceEqual("VIRT_BASE"u8))
        {
            parameters.VirtualBase = Number(value);
        }
        else if (name.SequenceEqual("VIRT_ENTRY"u8))
        {
            parameters.Entry = Number(value);
        }
        else if (name.SequenceEqual("ELF_PADDR_OFFSET"u8))
        {
            parameters.PhysicalOffset = Number(value);
        }
        else if (name.SequenceEqual("HYPERCALL_PAGE"u8))
        {
            parameters.HypercallPage = Number(value) << 12;
        }
        else if (name.SequenceEqual("FEATURES"u8))
        {
            KernelFeatures.Parse(value, ref parameters);
        }
    }

    // As strtoull(3) with base 0: hexadecimal after 0x, octal after 0, else decimal; stops at the first other character.
    private static ulong Number(ReadOnlySpan<byte> text)
    {
        ulong number = 0;
        uint radix = 10;
        int at = 0;
        if (text.Length > 1 && text[0] == '0' && (text[1] | 0x20) == 'x')
        {
            radix = 16;
            at = 2;
        }
        else if (text.Length > 0 && text[0] == '0')
        {
            radix = 8;
        }

        for (; at < text.Length; at++)
        {
            uint digit = Digit(text[at]);
            if (digit >= radix)
            {
                break;
            }

            number = unchecked(number * radix + digit);
        }

        return number;
    }

    private static uint Digit(byte character) => character switch
    {
        >= (byte)'0' and <= (byte)'9' => (uint)character - '0',
        >= (byte)'a' and <= (byte)'f' => (uint)character - 'a' + 10,
        >= (byte)'A' and <= (byte)'F' => (uint)character - 'A' + 10,
        _ => uint.MaxValue,
    };
}
