using System;
using System.Runtime;
using System.Runtime.CompilerServices;

namespace Internal.Runtime.CompilerHelpers;

/// <summary>The checks that the compiler inserts call these by name.</summary>
internal static class ThrowHelpers
{
    private static void ThrowIndexOutOfRangeException() => ThrowHelper.Abandon();

    private static void ThrowDivideByZeroException() => ThrowHelper.Abandon();

    private static void ThrowOverflowException() => ThrowHelper.Abandon();

    private static void ThrowNullReferenceException() => ThrowHelper.Abandon();

    private static void ThrowArgumentException() => ThrowHelper.Abandon();

    private static void ThrowArgumentOutOfRangeException() => ThrowHelper.Abandon();

    private static void ThrowPlatformNotSupportedException() => ThrowHelper.Abandon();

    private static void ThrowNotImplementedException() => ThrowHelper.Abandon();

    private static void ThrowNotSupportedException() => ThrowHelper.Abandon();

    private static void ThrowArrayTypeMismatchException() => ThrowHelper.Abandon();

    private static void ThrowInvalidProgramException() => ThrowHelper.Abandon();

    private static void ThrowTypeLoadException() => ThrowHelper.Abandon();

    private static void ThrowBodyRemoved() => ThrowHelper.Abandon();

    private static void ThrowFeatureBodyRemoved() => ThrowHelper.Abandon();

    private static void ThrowUnavailableType() => ThrowHelper.Abandon();
}
