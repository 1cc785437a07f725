#include "CPosternSandbox.h"
